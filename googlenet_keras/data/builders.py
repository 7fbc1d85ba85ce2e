"""Opens datasets of TensorFlow Datasets, and downloads them if they are not on the disk."""

import contextlib
import functools
import importlib.util
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from googlenet_keras.data import digits
from googlenet_keras.data.records import chosen_records, streamed_records
from googlenet_keras.data.splits import PARALLEL_CALLS, Dataset, Split, order
from googlenet_keras.silence import quiet_logger

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

PROBE_SECONDS = 5.0
FILE_FORMATS = ("array_record", "tfrecord")  # the names that TensorFlow Datasets uses


class PreparedDataset(Dataset):
    """A dataset of TensorFlow Datasets; see `googlenet_keras.data.open_dataset`.

    Args:
        name: The dataset's name in TensorFlow Datasets.
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder.
    """

    def __init__(self, name: str, data_dir: str | Path | None) -> None:
        self.builder = find_builder(name, data_dir)
        self.image_key, self.label_key = _keys(name, self.builder.info)
        if not is_prepared(self.builder):
            _fetch(name, self.builder)
        _check_format(self.builder)
        image, label = (self.builder.info.features[key] for key in (self.image_key, self.label_key))
        height, width, channels = image.shape
        if np.dtype(image.np_dtype) != np.uint8 or channels not in (1, 3, None):
            raise ValueError(f"Images must be grey or RGB, with 8 bits per channel. Received: {name!r}, {image!r}")
        super().__init__(
            name,
            label_names=tuple(label.names),
            split_names=tuple(self.builder.info.splits),
            channels=channels or 3,
            image_size=(height, width) if height and width else None,
        )

    def split(self, name: str) -> "PreparedSplit":
        """Returns a part of the dataset; see `Dataset.split`."""
        try:
            size = self.builder.info.splits[name].num_examples
        except (KeyError, ValueError) as error:
            raise self.unknown_split(name, error) from None
        return PreparedSplit(self, name, size)


class PreparedSplit(Split):
    """A part of a dataset of TensorFlow Datasets."""

    dataset: PreparedDataset

    def encoded(
        self, positions: np.ndarray, shuffled: tuple[int, int] | None = None, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Returns the examples as they are stored; see `Split.encoded`.

        The records of ArrayRecord files are all shuffled together; see `streamed_records` for those of TFRecord files.
        """
        import tensorflow_datasets as tfds

        info = self.dataset.builder.info
        if info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
            keys = order(self.size, shuffled)[np.minimum(positions, self.size - 1)]
            records = chosen_records(self._source, keys)
        else:
            records = streamed_records(info.splits[self.name].file_instructions, positions, shuffled, batch_size)
        image, label = self.dataset.image_key, self.dataset.label_key
        decoders = {image: tfds.decode.SkipDecoding()}

        def example(record: tf.Tensor) -> dict[str, tf.Tensor]:
            stored = info.features.deserialize_example(record, decoders=decoders)
            return {"image": stored[image], "label": tf.cast(stored[label], tf.int32)}

        return records.map(example, num_parallel_calls=PARALLEL_CALLS)

    @functools.cached_property
    def _source(self) -> Any:
        """The split's ArrayRecord files, whose records can be read by index."""
        import tensorflow_datasets as tfds

        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        return self.dataset.builder.as_data_source(self.name, deserialize_method=raw)


def find_builder(name: str, data_dir: str | Path | None) -> "tfds.core.DatasetBuilder":
    """Returns the builder of TensorFlow Datasets for a dataset, whether or not the dataset is prepared.

    Raises:
        ValueError: If TensorFlow Datasets has no dataset of that name.
    """
    import tensorflow_datasets as tfds

    try:
        with quiet_logger("absl"):
            return tfds.builder(name, data_dir=None if data_dir is None else Path(data_dir).expanduser())
    except (ValueError, tfds.core.registered.DatasetNotFoundError):
        if name == digits.NAME:
            raise ValueError(
                f"{name} is not prepared yet. Run: python -m googlenet_keras.data prepare {name}"
                f"{'' if data_dir is None else f' --data-dir {data_dir}'}"
            ) from None
        raise ValueError(
            "TensorFlow Datasets has no such dataset: use a name from its catalog (mnist, fashion_mnist, cifar10, ...) "
            f"or folder:PATH. Received: {name!r}"
        ) from None


def is_prepared(builder: "tfds.core.DatasetBuilder") -> bool:
    """Returns whether the complete dataset is on the disk."""
    with quiet_logger("absl"):
        return builder.is_prepared()


def _keys(name: str, info: "tfds.core.DatasetInfo") -> tuple[str, str]:
    """Returns the names of the image feature and of the label feature."""
    import tensorflow_datasets as tfds

    features = dict(info.features.items()) if isinstance(info.features, tfds.features.FeaturesDict) else {}
    images = [key for key, feature in features.items() if type(feature) is tfds.features.Image]
    labels = [key for key, feature in features.items() if type(feature) is tfds.features.ClassLabel]
    main = info.supervised_keys
    if main and len(main) == 2 and main[0] in images and main[1] in labels:
        return main
    if len(images) != 1 or len(labels) != 1:
        raise ValueError(
            f"A dataset must have one image and one label; {name} has {', '.join(features) or 'neither'}. "
            f"Received: {name!r}"
        )
    return images[0], labels[0]


def _check_format(builder: "tfds.core.DatasetBuilder") -> None:
    """Raises a ValueError if the files of a dataset cannot be read here."""
    received = builder.info.file_format.value
    if received not in FILE_FORMATS:
        raise ValueError(
            f"The files of {builder.data_path} must be {' or '.join(FILE_FORMATS)}: prepare the dataset again with "
            f"--file_format={FILE_FORMATS[0]}. Received: {received!r}"
        )
    # TensorFlow Datasets installs the package array_record on Linux only.
    if received == "array_record" and importlib.util.find_spec("array_record") is None:
        raise ValueError(
            f"ArrayRecord files need the package array_record: pip install 'googlenet-keras[array_record]'. "
            f"Received: {str(builder.data_path)!r}"
        )


def _fetch(name: str, builder: "tfds.core.DatasetBuilder") -> None:
    """Downloads and prepares a dataset, if its host responds at once.

    Raises:
        ValueError: If the dataset cannot be obtained; the message says what to do.
    """
    missing = f"{name} is not in {builder.data_dir_root}"
    if builder.MANUAL_DOWNLOAD_INSTRUCTIONS:
        instructions = " ".join(builder.MANUAL_DOWNLOAD_INSTRUCTIONS.split())
        raise ValueError(
            f"{missing}, and cannot be downloaded without an account: {instructions} "
            f"Then run: tfds build {name} --manual_dir DIR --data_dir {builder.data_dir_root}"
        )
    remedy = (
        f"python -m googlenet_keras.data prepare fashion_mnist --from DIR --data-dir {builder.data_dir_root}"
        if name == "fashion_mnist"
        else f"tfds build {name} --data_dir {builder.data_dir_root}, on a machine with a network, and copy the folder"
    )
    urls = list(builder.url_infos or ())
    if not urls or not _answers(urls[0]):
        raise ValueError(f"{missing}, and its host does not respond. Run: {remedy}")
    import tensorflow_datasets as tfds

    try:
        builder.download_and_prepare()
    except (OSError, tfds.download.DownloadError) as error:
        raise ValueError(f"{missing}, and the download failed ({error}). Run: {remedy}") from None


def _answers(url: str) -> bool:
    """Returns whether a URL can be reached from here, after at most `PROBE_SECONDS`."""
    answers = []

    def ask() -> None:
        with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=PROBE_SECONDS):
            answers.append(True)

    # The request runs in a thread because the look-up of the host name has no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(answers)
