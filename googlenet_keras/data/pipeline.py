"""Makes batches of preprocessed images, for any step of any epoch and any part of the replicas."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import tensorflow as tf

from googlenet_keras.data.augmentation import Augmentation
from googlenet_keras.data.splits import PARALLEL_CALLS, Split, order, pipeline_options
from googlenet_keras.images import change_channels, decode_image, fit_images

Element = TypeVar("Element")

STEPS_AHEAD = 2  # that are prepared before they are requested


class Batches:
    """The steps of an epoch, each of which is a batch that is divided among replicas.

    The content of a step depends only on the seed, the epoch and the step. It does not depend on the steps before it,
    or on the number of processes and replicas that share it.

    Args:
        split: The split that the examples come from.
        batch_size: The number of examples in a step, over all replicas.
        input_size: Height and width of the images that are returned, in pixels.
        preprocessing: A function that converts pixels in [0, 255] to the network's input. If it is a `Preprocessing`,
            it also determines which part is kept of an image that is not cropped at random. With another function, and
            in training on small images, whole images are used.
        training: Whether to shuffle the examples, and to leave out a last batch that is not full (unless it is the only
            one). Otherwise all examples are returned, in an order that is always the same.
        steps: The number of steps in an epoch, for training only. It may be less than a pass over the split, or make up
            several passes, each in its own order (default: one pass).
        augmentation: The random changes, for training only.
        channels: The number of channels that the network takes, 1 or 3 (default: that of the dataset).
        seed: The seed of the order and of the augmentation, at least 0.
        shards: The indices of the replicas that this process feeds, in rising order.
        shard_count: The number of replicas of all processes.

    Attributes:
        steps: The number of steps in an epoch.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        input_size: int,
        preprocessing: Callable[[tf.Tensor], tf.Tensor],
        training: bool,
        steps: int | None = None,
        augmentation: Augmentation | None = None,
        channels: int | None = None,
        seed: int = 0,
        shards: Sequence[int] = (0,),
        shard_count: int = 1,
    ) -> None:
        if batch_size < shard_count:
            raise ValueError(
                f"batch_size must be at least the number of replicas, {shard_count}. Received: {batch_size}"
            )
        if input_size < 1:
            raise ValueError(f"input_size must be at least 1. Received: {input_size}")
        if seed < 0:
            raise ValueError(f"seed must be at least 0. Received: {seed}")
        if steps is not None and not (training and steps > 0):
            raise ValueError(f"steps must be above 0, and can be given for training only. Received: {steps}")
        if augmentation is not None and not training:
            raise ValueError(
                f"augmentation can be given for training only. Received: {augmentation}, with training=False"
            )
        if augmentation is not None and augmentation.mixes and shard_count > 1 and batch_size % (2 * shard_count):
            raise ValueError(
                f"mixup and cutmix mix the images of a batch in pairs: for {shard_count} replicas, batch_size must be "
                f"a multiple of {2 * shard_count}. Received: {batch_size}"
            )
        if not shards or list(shards) != sorted({*shards} & {*range(shard_count)}):
            raise ValueError(
                f"shards must be indices below shard_count={shard_count}, in rising order. Received: {shards}"
            )
        if channels not in (None, 1, 3):
            raise ValueError(f"channels must be 1 or 3. Received: {channels}")
        self._split = split
        self._input_size = input_size
        self._preprocessing = preprocessing
        self._crop_fraction = 1.0 if training and split.dataset.small else getattr(preprocessing, "crop_fraction", 1.0)
        self._training = training
        self._augmentation = augmentation
        self._channels = channels or split.dataset.channels
        self._seed = seed
        self._shards = tuple(shards)
        self._shard_count = shard_count
        self._batch_size = min(batch_size, split.size) if training else batch_size
        self._steps_of_pass = split.size // self._batch_size if training else -(-split.size // batch_size)
        self.steps = steps or self._steps_of_pass

    def epoch(self, epoch: int, first_step: int = 0) -> tf.data.Dataset:
        """Returns the steps of an epoch.

        Args:
            epoch: The number of the epoch, from 0.
            first_step: The step to begin with, from 0.

        Returns:
            A dataset with one element for each step and each of ``shards``. An element contains ``image`` (part,
            input_size, input_size, channels), preprocessed; ``label`` int32 (part,); ``weight`` float32 (part,), which
            is 1, or 0 for the padding that is added if there are fewer examples than replicas; and ``count`` float32,
            the number of examples in the step, over all replicas. If images are mixed, it also contains ``target``
            float32 (part, classes), the share of each class, and ``label`` is the class with the largest share.

        Raises:
            ValueError: If there is no such epoch or step.
        """
        if epoch < 0 or not 0 <= first_step <= self.steps:
            raise ValueError(
                f"There are {self.steps} steps in an epoch, both counted from 0. "
                f"Received: step {first_step}, epoch {epoch}"
            )
        if first_step == self.steps:
            return self.epoch(epoch).take(0)
        plan = self._plan(epoch, first_step)
        slots = tf.data.Dataset.from_tensor_slices(
            {"pass": plan.number, "step": plan.step, "place": plan.place, "weight": plan.weight}
        )
        # For each pass over the split: the seed of its order, and the positions to read.
        passes = [
            ((self._seed, int(number)) if self._training else None, plan.position[plan.number == number])
            for number in np.unique(plan.number)
        ]
        if self._split.in_memory:
            last = self._split.size - 1
            chosen = [order(self._split.size, shuffled)[np.minimum(wanted, last)] for shuffled, wanted in passes]
            examples = tf.data.Dataset.zip(slots, tf.data.Dataset.from_tensor_slices(np.concatenate(chosen)))
            parts = plan.in_parts(examples).map(self._gather)
        else:
            encoded = [self._split.encoded(wanted, shuffled, self._batch_size) for shuffled, wanted in passes]
            examples = tf.data.Dataset.zip(slots, functools.reduce(tf.data.Dataset.concatenate, encoded))
            parts = plan.in_parts(examples.map(self._load, num_parallel_calls=PARALLEL_CALLS))
        counts = tf.data.Dataset.from_tensor_slices(plan.count)
        return (
            tf.data.Dataset.zip(parts, counts)
            .map(self._finish, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(STEPS_AHEAD * len(self._shards))
            .with_options(pipeline_options())
        )

    def _plan(self, epoch: int, first_step: int) -> "_Plan":
        """Chooses the examples that this process takes; see `_Plan`."""
        numbers, steps, places, sizes, counts = [], [], [], [], []
        passes = -(-self.steps // self._steps_of_pass)
        for step_of_epoch in range(first_step, self.steps):
            number, step = divmod(step_of_epoch, self._steps_of_pass)
            count = min(self._batch_size, self._split.size - step * self._batch_size)
            # The last example is followed by padding, because every replica needs at least one example.
            filled = max(count, self._shard_count)
            for shard in self._shards:
                place = np.arange(shard * filled // self._shard_count, (shard + 1) * filled // self._shard_count)
                numbers.append(np.full_like(place, epoch * passes + number))
                steps.append(np.full_like(place, step))
                places.append(place)
                sizes.append(len(place))
                counts.append(count)
        of_step, place = np.concatenate(steps), np.concatenate(places)
        position = of_step * self._batch_size + place
        return _Plan(
            number=np.concatenate(numbers),
            step=of_step,
            place=place,
            position=position,
            weight=(position < self._split.size).astype("float32"),
            sizes=np.array(sizes),
            count=np.array(counts, "float32"),
        )

    def _gather(self, slots: dict[str, tf.Tensor], chosen: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns a part of a batch of a split that is in memory."""
        return {**slots, **{name: tf.gather(column, chosen) for name, column in self._split.tensors.items()}}

    def _load(self, slot: dict[str, tf.Tensor], example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Decodes the image of an example, and crops and resizes it if it is large."""
        if self._split.dataset.small:
            return {**slot, **self._split.decode(example)}
        size, channels = self._input_size, self._channels
        if self._augmentation is None:
            image = decode_image(example["image"], channels)
            image = fit_images(image[tf.newaxis], (size, size), self._crop_fraction)[0]
        else:
            seed = tf.random.experimental.stateless_fold_in(self._seed_of(slot["pass"], slot["step"]), slot["place"])
            image = self._augmentation.crop(example["image"], size, channels, seed, turned=self._split.dataset.turned)
        return {**slot, "image": image, "label": example["label"]}

    def _finish(self, part: dict[str, tf.Tensor], count: tf.Tensor) -> dict[str, tf.Tensor]:
        images, label = part["image"], part["label"]
        batch_size = max(self._batch_size, self._shard_count)
        seed = self._seed_of(part["pass"][0], part["step"][0])
        if self._split.dataset.small:
            if self._augmentation is not None:
                images = self._augmentation.change_batch(images, part["place"], batch_size, seed)
            images = change_channels(images, self._channels)
            images = fit_images(images, (self._input_size, self._input_size), self._crop_fraction)
        mixed = {}
        if self._augmentation is not None and self._augmentation.mixes:
            target = tf.one_hot(label, self._split.dataset.classes)
            seed = tf.random.experimental.stateless_fold_in(seed, -1)
            images, target = self._augmentation.mix(images, target, part["place"], batch_size, seed)
            label, mixed = tf.argmax(target, axis=1, output_type=tf.int32), {"target": target}
        return {
            "image": tf.ensure_shape(self._preprocessing(images), images.shape),
            "label": label,
            **mixed,
            "weight": part["weight"],
            "count": count,
        }

    def _seed_of(self, number: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        key = tf.stack([tf.constant(self._seed, tf.int64), number])
        return tf.random.experimental.stateless_fold_in(key, step)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The examples of an epoch that a process takes, and how they are divided into parts.

    Attributes:
        number: For each example, the number of its pass over the split, counted from the first epoch on.
        step: For each example, its step within the pass.
        place: For each example, its place in the whole batch.
        position: For each example, its position in the order of the pass; positions from the size of the split on are
            padding.
        weight: For each example, 1, or 0 for padding.
        sizes: The number of examples in each part.
        count: For each part, the number of examples in its whole batch.
    """

    number: np.ndarray
    step: np.ndarray
    place: np.ndarray
    position: np.ndarray
    weight: np.ndarray
    sizes: np.ndarray
    count: np.ndarray

    def in_parts(self, examples: tf.data.Dataset) -> tf.data.Dataset:
        """Groups examples into the parts."""
        size = int(self.sizes.max())
        if size == self.sizes.min():
            return examples.batch(size, drop_remainder=True)
        return examples.batch(size).rebatch(self.sizes)


class Timed(Iterator[Element]):
    """An iterator that measures the time spent waiting for its elements.

    Args:
        elements: The elements to iterate over.

    Attributes:
        seconds: The time spent waiting so far, in seconds.
    """

    def __init__(self, elements: Iterable[Element]) -> None:
        self._elements = iter(elements)
        self.seconds = 0.0

    def __next__(self) -> Element:
        start = time.perf_counter()
        try:
            return next(self._elements)
        finally:
            self.seconds += time.perf_counter() - start
