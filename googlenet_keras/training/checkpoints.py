"""Checkpoints: one file with all that a training needs to go on as if it had never stopped."""

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
    """The checkpoints that are in a folder, the oldest first; there may be no such folder."""
    found = {path: named for path in folder.glob("step-*.npz") if (named := _NAME.fullmatch(path.name))}
    return sorted(found, key=lambda path: int(found[path][1]))


def next_run(folder: Path, *, resume: bool) -> str:
    """Says where the next run of the same command starts, in words that complete a message.

    Args:
        folder: The folder of the checkpoints.
        resume: Whether that command goes on from a checkpoint.
    """
    if not resume:
        return "the next run starts from the beginning if it is given --no-resume again"
    if checkpoint_files(folder):
        return "the next run starts from the last checkpoint"
    return "there is no checkpoint yet, so that the next run starts from the beginning"


class Checkpoints:
    """The last few checkpoints of one training, in a folder of their own.

    A checkpoint is a NumPy ``.npz`` of every variable by its name, and of ``facts``, JSON with the rest. The archive's
    checksums tell a damaged one from a good one.

    Args:
        folder: The folder of the checkpoints.
        variables: The variables to save and restore, by name.
        identity: The facts that must be equal for a checkpoint to be continued, such as the recipe; JSON.
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
        """Writes a checkpoint, whole or not at all, and takes away those that are too old.

        Args:
            step: Steps trained since the beginning.
            facts: Other facts that restoring needs; JSON.

        Returns:
            Its file.

        Raises:
            OSError: If the disk refuses; the older checkpoints are then as they were.
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
        """Begins anew: the checkpoints that are there are taken away once there is one of this training."""
        self._forgotten = self.files()

    def files(self) -> list[Path]:
        """The checkpoints there are, the oldest first."""
        return checkpoint_files(self.folder)

    def current(self) -> list[Path]:
        """Those of them that belong to this training, and not to one that it begins anew."""
        return [path for path in self.files() if path not in self._forgotten]

    def restore(self) -> dict[str, Any] | None:
        """Puts the newest readable checkpoint into the variables.

        A damaged checkpoint is reported on stderr, and the one before it is restored.

        Returns:
            Its facts, or None if there is no checkpoint.

        Raises:
            ValueError: If the checkpoint is another training's, or none of them can be read.
        """
        files = self.files()
        for path in reversed(files):
            try:
                with path.open("rb") as file, np.load(file) as archive:
                    arrays = {name: archive[name] for name in archive.files}
                facts = json.loads(arrays.pop(_FACTS).item())
            except UNREADABLE:
                print(f"The checkpoint {path.name} is damaged; the one before it is tried", file=sys.stderr)
                continue
            self._check(path, facts.pop("identity"), arrays)
            for name, variable in self._variables.items():
                # NumPy does not know bfloat16: it reads two bytes.
                array = arrays[name]
                variable.assign(array.view(variable.dtype) if array.dtype.kind == "V" else array)
            return facts
        if files:
            raise ValueError(f"None of the checkpoints can be read; start anew with --no-resume. Received: {files}")
        return None

    def _check(self, path: Path, identity: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        differing = [
            f"{name} {identity.get(name)!r} there and {value!r} here"
            for name, value in self._identity.items()
            if identity.get(name) != value
        ]
        if not differing and {name: array.shape for name, array in arrays.items()} != {
            name: tuple(variable.shape) for name, variable in self._variables.items()
        }:
            differing = ["other weights"]
        if differing:
            raise ValueError(
                f"The checkpoint is another training's ({'; '.join(differing)}): continue it as it was begun, give "
                f"another --output, or start anew with --no-resume. Received: {str(path)!r}"
            )
