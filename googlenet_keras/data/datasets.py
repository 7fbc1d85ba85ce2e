"""Datasets by name."""

from pathlib import Path

from googlenet_keras.data.splits import Dataset

FOLDER = "folder:"


def trained_split(dataset: Dataset, wanted: str) -> str:
    """The split that a training is measured on.

    Args:
        dataset: The dataset that is not there.
        wanted: The recipe's. Where it is ``test``, a dataset without one is measured on its validation images, and
            where it is ``validation`` the other way round.
    """
    ways = {"test": ("test", "validation", "val"), "validation": ("validation", "val", "test")}
    return next((name for name in ways.get(wanted, ()) if name in dataset.split_names), wanted)


def open_dataset(name: str, data_dir: str | Path | None = None, *, max_bad: int = 10) -> Dataset:
    """Opens a dataset of images, each of one class.

    What is not there is downloaded where the host that has it answers at once.

    Args:
        name: A name of TensorFlow Datasets, such as ``fashion_mnist``, ``cifar10`` or ``emnist/letters``; or
            ``folder:PATH``, where PATH holds a folder of image files for each class, or folders ``train``,
            ``validation`` (or ``val``), ``test`` of such folders. Of a folder without these, or with ``train`` alone, a
            tenth of each class is the split ``test``: which files these are follows from their names alone.
        data_dir: The folder of TensorFlow Datasets' data (default: its own default, TFDS_DATA_DIR or
            ~/tensorflow_datasets).
        max_bad: Most image files of a folder that may be broken; they are left out and named in `Split.bad`.

    Raises:
        ValueError: If there is no such dataset, it is not one of images with one label, it is neither there nor can be
            fetched, it has one class only or two of one name, or more than ``max_bad`` images are broken.
    """
    if name.startswith(FOLDER):
        from googlenet_keras.data.folders import ImageFolder

        return ImageFolder(Path(name.removeprefix(FOLDER)).expanduser(), max_bad=max_bad)
    from googlenet_keras.data.builders import PreparedDataset

    return PreparedDataset(name, data_dir)
