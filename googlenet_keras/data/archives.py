"""Prepares datasets from archives on the disk, as TensorFlow Datasets does from downloaded ones."""

import hashlib
import sys
import tempfile
from pathlib import Path

from googlenet_keras.data.builders import find_builder, is_prepared
from googlenet_keras.data.records import check_format_there

# The sha256 of each file of Fashion-MNIST: first of the authors' file
# (tensorflow_datasets/url_checksums/fashion_mnist.txt), then of the file in Debian's package dataset-fashion-mnist
# 0.0~git20200523.55506a9-1, whose gzip header contains no file name.
FASHION_MNIST = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
    ),
}


def prepare_fashion_mnist(
    source: str | Path, data_dir: str | Path | None = None, file_format: str | None = None
) -> tuple[Path, bool]:
    """Prepares Fashion-MNIST for TensorFlow Datasets from its archives, without a network connection.

    Args:
        source: The folder that holds the four archives: the original ones, or those that Debian's package installs in
            /usr/share/datasets/fashion-mnist.
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder.
        file_format: ``array_record`` or ``tfrecord``; None accepts the format of a dataset that is already prepared,
            and otherwise means ``tfrecord``.

    Returns:
        The prepared folder, and whether it existed already, in which case nothing was done.

    Raises:
        OSError: If an archive is missing, or the dataset cannot be written.
        ValueError: If an archive is not the expected one, or the folder exists already in another format.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered
    from tensorflow_datasets.core.download.checksums import UrlInfo
    from tensorflow_datasets.image_classification import mnist

    known = find_builder("fashion_mnist", data_dir)
    if is_prepared(known):
        check_format_there(known.data_path, known.info.file_format.value, file_format)
        return Path(known.data_path), True
    folder = Path(source).expanduser()
    received = {name: _verified(folder / name, hashes) for name, hashes in FASHION_MNIST.items()}
    # This builder gets the hashes of the given archives, because TensorFlow Datasets does not know those of Debian.
    with registered.skip_registration():

        class FashionMNIST(mnist.FashionMNIST):
            __module__ = mnist.__name__  # this name is written into the prepared folder
            name = "fashion_mnist"
            url_infos = {  # noqa: RUF012 (it is a class property in TensorFlow Datasets)
                f"{mnist.FashionMNIST.URL}{name}": UrlInfo((folder / name).stat().st_size, digest, name)
                for name, digest in received.items()
            }

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = FashionMNIST(data_dir=known.data_dir_root, file_format=file_format)
    # TensorFlow Datasets names extracted archives by the file name only, and those of MNIST have the same names.
    with tempfile.TemporaryDirectory() as extracted:
        builder.download_and_prepare(
            download_dir=extracted,
            download_config=tfds.download.DownloadConfig(manual_dir=folder, extract_dir=extracted),
        )
    return Path(builder.data_path), False


def _verified(path: Path, expected: tuple[str, ...]) -> str:
    """Returns the sha256 of a file after checking that it is an expected one."""
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received not in expected:
        raise ValueError(
            f"{path} is damaged or not the expected file: its sha256 must be {' or '.join(expected)}. "
            f"Received: {received}"
        )
    return received
