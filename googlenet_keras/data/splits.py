"""Defines a dataset and a split of it, wherever the images come from."""

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

# Images of one size up to this are small: whole, flipped and shifted; larger ones are cropped.
SMALL_SIDE = 128  # pixels
MOST_IN_MEMORY = 2**30  # bytes of a split's pixels
# Of what is done image by image. TensorFlow's own number ends at 16 where it does not tune, see `pipeline_options`.
PARALLEL_CALLS = core_count()


class Dataset(abc.ABC):
    """Images, each of one class.

    Attributes:
        name: The name that `open_dataset` was given.
        label_names: The classes' names, in the order of the labels.
        split_names: The whole splits.
        channels: 1 if the images are grey, 3 if they are RGB.
        image_size: Height and width of the images in pixels, or None if they differ.
        turned: Whether some of the files are stored turned, which random crops have to know; those of a prepared
            dataset are taken to be upright.
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
            raise ValueError(f"There must be two classes or more to tell apart. Received: {name!r}, with {label_names}")
        if len({_plain(label) for label in label_names}) < len(label_names):
            raise ValueError(f"Two classes must not have one name. Received: {name!r}, with {label_names}")
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
        """Number of classes."""
        return len(self.label_names)

    @property
    def small(self) -> bool:
        """True if all images have one size of at most 128 pixels a side. These are used whole; others are cropped."""
        return self.image_size is not None and max(self.image_size) <= SMALL_SIDE

    @abc.abstractmethod
    def split(self, name: str) -> "Split":
        """A part of the dataset.

        Args:
            name: In the notation of TensorFlow Datasets: ``train``, ``train[:90%]``, ``train[1000:]+test``.

        Raises:
            ValueError: If there is no such part, or nothing in it.
        """

    def unknown_split(self, name: str, reason: Exception) -> ValueError:
        """Returns the error that `split` raises for an unknown name."""
        return ValueError(
            f"{self.name} has the splits {', '.join(self.split_names)}, and slices like train[:90%]. "
            f"Received: {name!r} ({str(reason.args[0]).splitlines()[0]})"
        )


class Split(abc.ABC):
    """A part of a dataset, in an order of its own that is always the same.

    Attributes:
        dataset: The dataset of the split.
        name: The split, in the notation of TensorFlow Datasets.
        size: Number of examples.
        bad: Image files that cannot be used and are left out, and why.
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
        """Examples as they are stored.

        Args:
            positions: Rising positions in the order. From `size` on they are padding, any example.
            shuffled: Seed and epoch of another order than the split's own, of which the order is a function.
            batch_size: Examples of a step. The order of what cannot be read here and there depends on it: it is such
                that a part of the places of all steps needs no more than that part of the files. None is the order of
                the files.

        Returns:
            Elements ``{"image": bytes of a file, "label": int32}``.
        """

    def images(self) -> tf.data.Dataset:
        """All examples in order: elements ``{"image": uint8 (height, width, channels), "label": int32}``."""
        encoded = self.encoded(np.arange(self.size))
        return encoded.map(self.decode, num_parallel_calls=PARALLEL_CALLS).with_options(pipeline_options())

    def decode(self, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One of `encoded` as one of `images`."""
        image = decode_image(example["image"], self.dataset.channels)
        image.set_shape((*(self.dataset.image_size or (None, None)), self.dataset.channels))
        return {**example, "image": image}

    @property
    def in_memory(self) -> bool:
        """True if the images are small and few enough to be kept in memory."""
        if not self.dataset.small or self.dataset.image_size is None:
            return False
        return self.size * math.prod(self.dataset.image_size) * self.dataset.channels <= MOST_IN_MEMORY

    @functools.cached_property
    def tensors(self) -> dict[str, tf.Tensor]:
        """All examples of a split `in_memory`: uint8 (size, height, width, channels) and int32 (size,)."""
        # Read once, even where it is first asked for while a function is traced.
        with tf.init_scope(), tf.device("CPU"):
            return self.images().batch(self.size).get_single_element()


def _plain(label: str) -> str:
    """A class's name without what nobody sees: spaces around it, and how its accents are written."""
    return unicodedata.normalize("NFC", label).strip()


def pipeline_options() -> tf.data.Options:
    """Returns the options of every pipeline: a fixed order, and no autotuning.

    The thread that tunes a pipeline sleeps longer the longer it lives, up to a minute, and sometimes misses that its
    iterator is at its end, which waits for it, and all other workers with it. Measured with TensorFlow 2.21: 0.5 s
    after an epoch of 2 s, 10 s and more after one of 10 s.
    """
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return options


def order(size: int, shuffled: tuple[int, int] | None) -> np.ndarray:
    """A permutation of ``range(size)`` that is a function of a seed and an epoch, or none at all."""
    return np.arange(size) if shuffled is None else np.random.default_rng(shuffled).permutation(size)
