"""Datasets that are folders of image files, a folder for each class."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.data.splits import PARALLEL_CALLS, Dataset, Split, order
from googlenet_keras.devices import core_count

SUFFIXES = (".jpeg", ".jpg", ".png")
SPLITS = ("train", "validation", "val", "test")


class ImageFolder(Dataset):
    """A folder of image files; see `googlenet_keras.data.open_dataset`.

    Every file is decoded once when the folder is opened, so that a broken one is known before the training.

    Args:
        path: The folder.
        max_bad: Most files that may be broken.
    """

    def __init__(self, path: Path, *, max_bad: int) -> None:
        name = f"folder:{path}"
        splits = _image_files(path)
        label_names = tuple(sorted({label for files in splits.values() for _, label in files}))
        paths = [file for files in splits.values() for file, _ in files]
        with ThreadPoolExecutor(core_count()) as threads:
            shapes = dict(zip(paths, threads.map(_shape, paths), strict=True))
        bad = [str(file) for file, shape in shapes.items() if shape is None]
        if len(bad) > max_bad:
            raise ValueError(
                f"{len(bad)} images are broken, more than {max_bad}: {', '.join(bad[:3])}{', ...' if bad[3:] else ''}; "
                f"mend them or allow more. Received: {name!r}"
            )
        found = {shape for shape in shapes.values() if shape is not None}
        sizes = {shape[:2] for shape in found}
        # Grey files may have a second channel, of transparency.
        channels = 1 if all(shape[2] <= 2 for shape in found) else 3
        super().__init__(
            name,
            label_names=label_names,
            split_names=tuple(splits),
            channels=channels,
            image_size=sizes.pop() if len(sizes) == 1 else None,
        )
        self._bad = {split: tuple(str(f) for f, _ in files if shapes[f] is None) for split, files in splits.items()}
        self._files = {}
        for split, files in splits.items():
            good = [(str(file), label_names.index(label)) for file, label in files if shapes[file] is not None]
            # As mixed as a prepared dataset is: a slice of files sorted by class would have some classes only.
            self._files[split] = [good[i] for i in order(len(good), shuffled=(0, 0))]

    def split(self, name: str) -> "FolderSplit":
        """A part of the dataset; see `Dataset.split`."""
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
        bad = tuple(file for split in dict.fromkeys(part.splitname for part in slices) for file in self._bad[split])
        return FolderSplit(self, name, files, bad)


class FolderSplit(Split):
    """A part of the files of a folder."""

    def __init__(self, dataset: ImageFolder, name: str, files: list[tuple[str, int]], bad: tuple[str, ...]) -> None:
        super().__init__(dataset, name, len(files), bad)
        self._paths = np.array([path for path, _ in files])
        self._labels = np.array([label for _, label in files], "int32")

    def encoded(self, positions: np.ndarray, shuffled: tuple[int, int] | None = None) -> tf.data.Dataset:
        """Examples as they are stored; see `Split.encoded`."""
        chosen = order(self.size, shuffled)[np.minimum(positions, self.size - 1)]
        files = tf.data.Dataset.from_tensor_slices({"image": self._paths[chosen], "label": self._labels[chosen]})
        return files.map(
            lambda example: {**example, "image": tf.io.read_file(example["image"])},
            num_parallel_calls=PARALLEL_CALLS,
        )


def _image_files(path: Path) -> dict[str, list[tuple[Path, str]]]:
    """For each split its image files and the names of their classes."""
    folders = _folders(path) if path.is_dir() else []
    if not folders:
        raise ValueError(f"There is no folder with a folder of images for each class. Received: 'folder:{path}'")
    splits = [folder for folder in folders if folder.name in SPLITS and _folders(folder)] or [path]
    found = {}
    for split in splits:
        files = []
        for folder in _folders(split):
            images = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not images:
                raise ValueError(
                    f"A class's folder must hold images ({', '.join(SUFFIXES)}); take it away or fill it. "
                    f"Received: {str(folder)!r}"
                )
            files += [(file, folder.name) for file in images]
        found["train" if split is path else split.name] = files
    return found


def _folders(path: Path) -> list[Path]:
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _shape(path: Path) -> tuple[int, int, int] | None:
    """Height, width and channels of an image, or None if it is broken."""
    try:
        encoded = path.read_bytes()
        if encoded.startswith(b"\xff\xd8"):
            shape = tf.io.extract_jpeg_shape(encoded)
            # Every byte is looked at, and an eighth of the pixels made: three times as fast.
            tf.io.decode_jpeg(encoded, channels=3, ratio=8)
        else:
            shape = tf.shape(tf.io.decode_image(encoded, expand_animations=False))
        height, width, channels = shape.numpy().tolist()
        return height, width, channels
    except (OSError, ValueError, tf.errors.OpError):
        return None
