"""Opens datasets that are folders of image files, with one folder for each class."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.data.splits import PARALLEL_CALLS, Dataset, Split, order
from googlenet_keras.devices import core_count
from googlenet_keras.images import SUFFIXES, Inspection, image_files, inspect_image

SPLITS = ("train", "validation", "val", "test")
# In a folder without splits, this fraction of each class is held out as ``test``.
HELD_OUT = 0.1


class ImageFolder(Dataset):
    """A folder of image files; see `googlenet_keras.data.open_dataset`.

    Every file is inspected when the folder is opened, so that broken files are found before the training starts.

    Args:
        path: The folder.
        max_bad: The largest number of files that may be broken.
    """

    def __init__(self, path: Path, *, max_bad: int) -> None:
        name = f"folder:{path}"
        splits = _image_files(path)
        label_names = tuple(sorted({label for files in splits.values() for _, label in files}))
        paths = [file for files in splits.values() for file, _ in files]
        with ThreadPoolExecutor(core_count()) as threads:
            found = dict(zip(paths, threads.map(_inspect, paths), strict=True))
        bad = {str(file): reason for file, reason in found.items() if isinstance(reason, str)}
        if len(bad) > max_bad:
            shown = "; ".join(f"{file}: {reason}" for file, reason in list(bad.items())[:3])
            raise ValueError(
                f"{len(bad)} images cannot be used, more than {max_bad}: {shown}{'; ...' if len(bad) > 3 else ''}; "
                f"repair them or raise --max-bad. Received: {name!r}"
            )
        good = [seen for seen in found.values() if not isinstance(seen, str)]
        sizes = {(one.height, one.width) for one in good}
        super().__init__(
            name,
            label_names=label_names,
            split_names=tuple(splits),
            channels=1 if all(one.grey for one in good) else 3,
            image_size=sizes.pop() if len(sizes) == 1 else None,
            turned=any(one.turned for one in good),
        )
        self._bad = {
            split: {str(file): bad[str(file)] for file, _ in files if str(file) in bad}
            for split, files in splits.items()
        }
        self._files = {}
        for split, files in splits.items():
            usable = [(str(file), label_names.index(label)) for file, label in files if str(file) not in bad]
            # The files are shuffled like those of a prepared dataset, because a slice of files that are sorted by class
            # would contain some classes only.
            self._files[split] = [usable[i] for i in order(len(usable), shuffled=(0, 0))]

    def split(self, name: str) -> "FolderSplit":
        """Returns a part of the dataset; see `Dataset.split`."""
        import tensorflow_datasets as tfds

        sizes = {
            split: tfds.core.SplitInfo(name=split, shard_lengths=[len(files)], num_bytes=0)
            for split, files in self._files.items()
        }
        try:
            slices = tfds.core.ReadInstruction.from_spec(name).to_absolute(sizes)
        except ValueError as error:
            raise self.unknown_split(name, error) from None
        files = [file for part in slices for file in self._files[part.splitname][part.from_ : part.to]]
        bad: dict[str, str] = {}
        for part in slices:
            bad |= self._bad[part.splitname]
        return FolderSplit(self, name, files, bad)


class FolderSplit(Split):
    """A part of the files of a folder."""

    def __init__(self, dataset: ImageFolder, name: str, files: list[tuple[str, int]], bad: dict[str, str]) -> None:
        super().__init__(dataset, name, len(files), bad)
        self._paths = np.array([path for path, _ in files])
        self._labels = np.array([label for _, label in files], "int32")

    def encoded(
        self, positions: np.ndarray, shuffled: tuple[int, int] | None = None, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Returns the examples as they are stored; see `Split.encoded`."""
        chosen = order(self.size, shuffled)[np.minimum(positions, self.size - 1)]
        files = tf.data.Dataset.from_tensor_slices({"image": self._paths[chosen], "label": self._labels[chosen]})
        return files.map(
            lambda example: {**example, "image": tf.io.read_file(example["image"])},
            num_parallel_calls=PARALLEL_CALLS,
        )


def _image_files(path: Path) -> dict[str, list[tuple[Path, str]]]:
    """Returns the image files of each split, with the names of their classes."""
    folders = _folders(path) if path.is_dir() else []
    if not folders:
        raise ValueError(f"There is no folder with a subfolder of images for each class. Received: 'folder:{path}'")
    splits = [folder for folder in folders if folder.name in SPLITS and _folders(folder)]
    if [split.name for split in splits] == ["train"]:
        path = splits[0]
    elif splits:
        return {split.name: _of_classes(split) for split in splits}
    train, test = [], []
    files = _of_classes(path)
    for label in sorted({label for _, label in files}):
        of_class = sorted((file for file, its in files if its == label), key=lambda file: _draw(file.relative_to(path)))
        # If a class has a single image, it is used for training.
        held_out = max(1, round(HELD_OUT * len(of_class))) if len(of_class) > 1 else 0
        test += [(file, label) for file in of_class[:held_out]]
        train += [(file, label) for file in of_class[held_out:]]
    if not test:
        raise ValueError(
            f"Every class has a single image, so that none can be held out as the split test; add images. "
            f"Received: 'folder:{path}'"
        )
    return {"train": sorted(train), "test": sorted(test)}


def _of_classes(path: Path) -> list[tuple[Path, str]]:
    """Returns the image files in a folder of class folders, with the names of their classes."""
    files = []
    for folder in _folders(path):
        images = image_files(folder)
        if not images:
            raise ValueError(
                f"The folder of a class must contain images ({', '.join(SUFFIXES)}); remove it or add images. "
                f"Received: {str(folder)!r}"
            )
        files += [(file, folder.name) for file in images]
    return files


def _draw(file: Path) -> bytes:
    """Returns a hash of a file's name.

    It decides which files are held out, so that this choice changes little when files are added or removed.
    """
    return hashlib.sha256(file.as_posix().encode()).digest()


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _inspect(path: Path) -> Inspection | str:
    """Returns the result of `inspect_image` for a file, or a text that says why the file cannot be used."""
    try:
        return inspect_image(path.read_bytes())
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
