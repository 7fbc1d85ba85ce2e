"""Archives already on the disk, prepared as TensorFlow Datasets would have done from the network."""

import hashlib
import sys
import tempfile
from pathlib import Path

from googlenet_keras.data.builders import find_builder, is_prepared
from googlenet_keras.data.records import check_format_there

# sha256 of each file of Fashion-MNIST: its authors' (tensorflow_datasets/url_checksums/fashion_mnist.txt), and that of
# Debian's package dataset-fashion-mnist 0.0~git20200523.55506a9-1, whose gzip headers name no file.
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
    """Makes Fashion-MNIST's folder for TensorFlow Datasets, without a network.

    Args:
        source: Folder of the four archives: the originals, or /usr/share/datasets/fashion-mnist of Debian's package.
        data_dir: The folder of TensorFlow Datasets' data (default: its own default).
        file_format: ``array_record`` or ``tfrecord`` (default: that of what is there, or tfrecord).

    Returns:
        The prepared folder, and whether it was there already, in which case nothing was done.

    Raises:
        OSError: If an archive is missing, or the disk refuses.
        ValueError: If an archive is another than it should be, or the folder is there in another format.
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
    # Debian's hashes are not those that TensorFlow Datasets knows.
    with registered.skip_registration():

        class FashionMNIST(mnist.FashionMNIST):
            __module__ = mnist.__name__  # as it is written into the prepared folder
            name = "fashion_mnist"
            url_infos = {  # noqa: RUF012 (theirs is a property of the class)
                f"{mnist.FashionMNIST.URL}{name}": UrlInfo((folder / name).stat().st_size, digest, name)
                for name, digest in received.items()
            }

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = FashionMNIST(data_dir=known.data_dir_root, file_format=file_format)
    # Their folder of extracted archives is by name only, and MNIST's have the same names.
    with tempfile.TemporaryDirectory() as extracted:
        builder.download_and_prepare(
            download_dir=extracted,
            download_config=tfds.download.DownloadConfig(manual_dir=folder, extract_dir=extracted),
        )
    return Path(builder.data_path), False


def _verified(path: Path, expected: tuple[str, ...]) -> str:
    """The sha256 of a file, if it is an expected one."""
    with path.open("rb") as file:
        received = hashlib.file_digest(file, "sha256").hexdigest()
    if received not in expected:
        raise ValueError(
            f"{path} is damaged or another file: its sha256 must be {' or '.join(expected)}. Received: {received}"
        )
    return received
