"""Defines datasets and their splits, independently of where the images come from."""

import abc
import functools
import math
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from googlenet_keras.devices import core_count
from googlenet_keras.images import decode_image

# The images of a dataset are small if they all have one size of at most this. Small images are used whole, and are
# flipped and shifted at random; others are cropped at random.
SMALL_SIDE = 128  # pixels
MOST_IN_MEMORY = 2**30  # bytes of a split's pixels
# The number of parallel calls of functions of a single image. TensorFlow's own number is at most 16 without autotuning,
# see `pipeline_options`.
PARALLEL_CALLS = core_count()


class Dataset(abc.ABC):
    """A dataset of images that belong to one class each.

    Attributes:
        name: The name that was given to `open_dataset`.
        label_names: The names of the classes, in the order of the labels.
        split_names: The names of the complete splits.
        channels: 1 if the images are grey, 3 if they are RGB.
        image_size: Height and width of the images in pixels, or None if they differ.
        turned: Whether some of the files store the image rotated or mirrored, which random crops must take into
            account. The images of a prepared dataset are assumed to be upright.
    """

    def __init__(
        self,
        name: str,
        *,
        label_names: tuple[str, ...],
        split_names: tuple[str, ...],
        channels: int,
        image_size: tuple[int, int] | None,
        turned: bool = False,
    ) -> None:
        if len(label_names) < 2:
            raise ValueError(f"There must be at least two classes. Received: {name!r}, with {label_names}")
        if len({_plain(label) for label in label_names}) < len(label_names):
            raise ValueError(f"Two classes must not have the same name. Received: {name!r}, with {label_names}")
        if any("\n" in label for label in label_names):
            raise ValueError(f"The name of a class must be one line. Received: {name!r}, with {label_names}")
        self.name = name
        self.label_names = label_names
        self.split_names = split_names
        self.channels = channels
        self.image_size = image_size
        self.turned = turned

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.label_names)

    @property
    def small(self) -> bool:
        """Whether all images have one size of at most 128 pixels a side. These are used whole; others are cropped."""
        return self.image_size is not None and max(self.image_size) <= SMALL_SIDE

    @abc.abstractmethod
    def split(self, name: str) -> "Split":
        """Returns a part of the dataset.

        Args:
            name: The part in the notation of TensorFlow Datasets, such as ``train``, ``train[:90%]`` or
                ``train[1000:]+test``.

        Raises:
            ValueError: If there is no such part, or it is empty.
        """

    def unknown_split(self, name: str, reason: Exception) -> ValueError:
        """Returns the error that `split` raises for an unknown name."""
        return ValueError(
            f"{self.name} has the splits {', '.join(self.split_names)}, and slices of them, such as train[:90%]. "
            f"Received: {name!r} ({str(reason.args[0]).splitlines()[0]})"
        )


class Split(abc.ABC):
    """A part of a dataset, whose examples have an order that is always the same.

    Attributes:
        dataset: The dataset of the split.
        name: The split, in the notation of TensorFlow Datasets.
        size: The number of examples.
        bad: The image files that cannot be used and are left out, with the reason for each.
    """

    def __init__(self, dataset: Dataset, name: str, size: int, bad: Mapping[str, str] = MappingProxyType({})) -> None:
        if not size:
            raise ValueError(f"There are no images in that part of {dataset.name}. Received: {name!r}")
        self.dataset = dataset
        self.name = name
        self.size = size
        self.bad = bad

    @abc.abstractmethod
    def encoded(
        self, positions: np.ndarray, shuffled: tuple[int, int] | None = None, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Returns examples as they are stored.

        Args:
            positions: Positions in the order of the examples, rising. Positions from `size` on are padding, for which
                any example is returned.
            shuffled: The seed and the epoch that determine a random order; None means the split's own order.
            batch_size: The number of examples in a step. If the files cannot be read at random positions, the order
                depends on it, so that reading a part of the places of all steps needs no more than that part of the
                files. None means the order of the files.

        Returns:
            A dataset of elements ``{"image": bytes of a file, "label": int32}``.
        """

    def images(self) -> tf.data.Dataset:
        """Returns all examples in order, as ``{"image": uint8 (height, width, channels), "label": int32}``."""
        encoded = self.encoded(np.arange(self.size))
        return encoded.map(self.decode, num_parallel_calls=PARALLEL_CALLS).with_options(pipeline_options())

    def decode(self, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Converts an element of `encoded` to an element of `images`."""
        image = decode_image(example["image"], self.dataset.channels)
        image.set_shape((*(self.dataset.image_size or (None, None)), self.dataset.channels))
        return {**example, "image": image}

    @property
    def in_memory(self) -> bool:
        """Whether the images are small, and few enough to be kept in memory."""
        if not self.dataset.small or self.dataset.image_size is None:
            return False
        return self.size * math.prod(self.dataset.image_size) * self.dataset.channels <= MOST_IN_MEMORY

    @functools.cached_property
    def tensors(self) -> dict[str, tf.Tensor]:
        """All examples of a split that is `in_memory`: uint8 (size, height, width, channels) and int32 (size,)."""
        # The examples are read only once, even if they are first requested while a function is traced.
        with tf.init_scope(), tf.device("CPU"):
            return self.images().batch(self.size).get_single_element()


def _plain(label: str) -> str:
    """Returns a class's name without invisible differences: spaces around it, and the encoding of its accents."""
    return unicodedata.normalize("NFC", label).strip()


def pipeline_options() -> tf.data.Options:
    """Returns the options of every pipeline: a fixed order, and no autotuning.

    The thread that tunes a pipeline sleeps longer the longer it runs, up to a minute, and sometimes misses that its
    iterator has ended. The iterator then waits for the thread, and all other workers wait for the iterator. Measured
    with TensorFlow 2.21, this wait took 0.5 s after an epoch of 2 s, and 10 s or more after an epoch of 10 s.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options


def order(size: int, shuffled: tuple[int, int] | None) -> np.ndarray:
    """Returns ``range(size)``, permuted as a seed and an epoch determine unless `shuffled` is None."""
    return np.arange(size) if shuffled is None else np.random.default_rng(shuffled).permutation(size)
