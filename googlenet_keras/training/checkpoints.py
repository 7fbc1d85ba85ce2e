"""Writes and restores checkpoints: files with everything that a training needs to continue as if it had not stopped."""

import json
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras.files import write_aside

_NAME = re.compile(r"step-(\d+)\.npz")
_FACTS = "facts"
UNREADABLE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)


def checkpoint_files(folder: Path) -> list[Path]:
    """Returns the checkpoints in a folder, ordered from the oldest to the newest; the folder need not exist."""
    found = {path: named for path in folder.glob("step-*.npz") if (named := _NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]))


def next_run(folder: Path, *, resume: bool) -> str:
    """Returns a text about where the next run of the same command starts, to be inserted in a message.

    Args:
        folder: The folder of the checkpoints.
        resume: Whether the command resumes from a checkpoint.
    """
    if not resume:
        return "the next run starts from the beginning if it is given --no-resume again"
    if checkpoint_files(folder):
        return "the next run starts from the last checkpoint"
    return "there is no checkpoint yet, so the next run starts from the beginning"


class Checkpoints:
    """The folder with the most recent checkpoints of a training.

    A checkpoint is a NumPy ``.npz`` file that contains all variables by name, and everything else as JSON in ``facts``.
    The checksums of the archive reveal damaged files.

    Args:
        folder: The folder of the checkpoints.
        variables: The variables to save and restore, by name.
        identity: The facts that must be equal in a checkpoint for the training to continue from it, such as the recipe.
            They must be serializable as JSON.
        kept: The number of checkpoints to keep.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, keras.Variable], identity: Mapping[str, Any], kept: int
    ) -> None:
        self.folder = folder
        self._variables = variables
        self._identity = json.loads(json.dumps(identity))
        self._kept = kept
        self._forgotten: list[Path] = []

    def save(self, step: int, facts: Mapping[str, Any]) -> Path:
        """Writes a checkpoint, completely or not at all, and deletes those that are no longer needed.

        Args:
            step: The number of steps since the beginning of the training.
            facts: Other facts that are needed to restore the training; they must be serializable as JSON.

        Returns:
            The path of the checkpoint.

        Raises:
            OSError: If the file cannot be written; the older checkpoints then remain unchanged.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in self._variables.items()}
        arrays[_FACTS] = np.array(json.dumps({"identity": self._identity, **facts}))
        path = self.folder / f"step-{step:08d}.npz"
        with write_aside(path) as file:
            np.savez(file, **arrays)
        for old in {*self._forgotten, *self.files()[: -self._kept]} - {path}:
            old.unlink(missing_ok=True)
        self._forgotten = []
        return path

    def forget(self) -> None:
        """Marks the existing checkpoints for deletion after the first one of the new training has been written."""
        self._forgotten = self.files()

    def files(self) -> list[Path]:
        """Returns the existing checkpoints, ordered from the oldest to the newest."""
        return checkpoint_files(self.folder)

    def current(self) -> list[Path]:
        """Returns the existing checkpoints without those that `forget` has marked for deletion."""
        return [path for path in self.files() if path not in self._forgotten]

    def restore(self) -> dict[str, Any] | None:
        """Restores the variables from the newest readable checkpoint.

        A damaged checkpoint is reported on stderr, and the one before it is tried.

        Returns:
            The facts of the checkpoint, or None if there is no checkpoint.

        Raises:
            ValueError: If the checkpoint belongs to another training, or no checkpoint can be read.
        """
        files = self.files()
        for path in reversed(files):
            try:
                with path.open("rb") as file, np.load(file) as archive:
                    arrays = {name: archive[name] for name in archive.files}
                facts = json.loads(arrays.pop(_FACTS).item())
            except UNREADABLE:
                print(f"The checkpoint {path.name} is damaged; trying the one before it", file=sys.stderr)
                continue
            self._check(path, facts.pop("identity"), arrays)
            for name, variable in self._variables.items():
                # NumPy does not know bfloat16, and reads its values as raw data of two bytes each.
                array = arrays[name]
                variable.assign(array.view(variable.dtype) if array.dtype.kind == "V" else array)
            return facts
        if files:
            raise ValueError(f"None of the checkpoints can be read; start over with --no-resume. Received: {files}")
        return None

    def _check(self, path: Path, identity: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        differing = [
            f"{name}: {identity.get(name)!r} in the checkpoint, {value!r} now"
            for name, value in self._identity.items()
            if identity.get(name) != value
        ]
        if not differing and {name: array.shape for name, array in arrays.items()} != {
            name: tuple(variable.shape) for name, variable in self._variables.items()
        }:
            differing = ["other weights"]
        if differing:
            raise ValueError(
                f"The checkpoint belongs to another training ({'; '.join(differing)}): use the options of that "
                f"training, give another --output, or start over with --no-resume. Received: {str(path)!r}"
            )
