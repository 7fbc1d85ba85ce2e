"""Datasets by name."""

from pathlib import Path

from googlenet_keras.data.splits import Dataset

FOLDER = "folder:"


def open_dataset(name: str, data_dir: str | Path | None = None, *, max_bad: int = 10) -> Dataset:
    """Opens a dataset of images, each of one class.

    What is not there is downloaded where the host that has it answers at once.

    Args:
        name: A name of TensorFlow Datasets, such as ``fashion_mnist``, ``cifar10`` or ``emnist/letters``; or
            ``folder:PATH``, where PATH holds a folder of JPEG and PNG files for each class, or folders ``train``,
            ``validation``, ``test`` of such folders.
        data_dir: Where TensorFlow Datasets keeps its data (default: its own default, TFDS_DATA_DIR or
            ~/tensorflow_datasets).
        max_bad: Most image files of a folder that may be broken; they are left out and named in `Split.bad`.

    Raises:
        ValueError: If there is no such dataset, it is not one of images with one label, it is neither there nor can be
            fetched, or more than ``max_bad`` images are broken.
    """
    if name.startswith(FOLDER):
        from googlenet_keras.data.folders import ImageFolder

        return ImageFolder(Path(name.removeprefix(FOLDER)).expanduser(), max_bad=max_bad)
    from googlenet_keras.data.builders import PreparedDataset

    return PreparedDataset(name, data_dir)
