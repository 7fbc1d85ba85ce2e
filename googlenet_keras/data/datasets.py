"""Opens datasets by name."""

from pathlib import Path

from googlenet_keras.data.splits import Dataset

FOLDER = "folder:"


def trained_split(dataset: Dataset, wanted: str) -> str:
    """Returns the split on which a training is evaluated.

    Args:
        dataset: The dataset that the training uses.
        wanted: The split that the recipe names. If it is ``test`` and the dataset has no such split, the validation
            split takes its place, and vice versa.
    """
    ways = {"test": ("test", "validation", "val"), "validation": ("validation", "val", "test")}
    return next((name for name in ways.get(wanted, ()) if name in dataset.split_names), wanted)


def open_dataset(name: str, data_dir: str | Path | None = None, *, max_bad: int = 10) -> Dataset:
    """Opens a dataset of images that belong to one class each.

    A dataset that is not on the disk is downloaded if its host responds at once.

    Args:
        name: A name of TensorFlow Datasets, such as ``fashion_mnist``, ``cifar10`` or ``emnist/letters``; or
            ``folder:PATH``, where PATH contains one folder of image files for each class, or the folders ``train``,
            ``validation`` (or ``val``) and ``test`` with such folders in them. If PATH has none of these splits, or
            ``train`` alone, a tenth of each class becomes the split ``test``; which files these are depends on their
            names only.
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder, TFDS_DATA_DIR or
            ~/tensorflow_datasets.
        max_bad: The largest number of image files of a folder that may be broken; they are left out and listed in
            `Split.bad`.

    Raises:
        ValueError: If there is no such dataset, its examples do not have one image and one label each, it is not on the
            disk and cannot be downloaded, it has only one class or two classes of the same name, or more than
            ``max_bad`` images are broken.
    """
    if name.startswith(FOLDER):
        from googlenet_keras.data.folders import ImageFolder

        return ImageFolder(Path(name.removeprefix(FOLDER)).expanduser(), max_bad=max_bad)
    from googlenet_keras.data.builders import PreparedDataset

    return PreparedDataset(name, data_dir)
