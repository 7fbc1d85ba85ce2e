"""Random changes to training images, as functions of a seed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.images import decode_box, resize

# Random erasing (arXiv 1708.04896, section 3.2 and table 1): the rectangle's share of the image's area, and its height
# divided by its width.
ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 1 / 0.3)
# GoogLeNet (arXiv 1409.4842, section 6): the crop's share of the image's area, and its width divided by its height.
CROP_AREA = (0.08, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
# The number of changes that RandAugment makes to an image, one after the other (arXiv 1909.13719, section 4, and the
# default of Keras).
CHANGES = 2
# Howard (arXiv 1312.5402, section 3): the range of the factors for contrast, brightness and colour.
DISTORTION = (0.5, 1.5)
# The largest change of the hue, as a share of the colour circle (TF-slim's preprocessing/inception_preprocessing.py).
HUE = 0.2
# GoogLeNet, section 6: one of them is chosen "with equal probability".
INTERPOLATIONS = ("bilinear", "area", "nearest", "bicubic")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The random changes that are made to training images; large images are also always cropped at random.

    Attributes:
        flip: The probability that an image is mirrored horizontally.
        shift: The largest number of pixels by which a small image is moved along each axis. The uncovered part is
            filled with black.
        erase: The probability that a rectangle of a small image is replaced with noise (arXiv 1708.04896).
        distort: Whether to change the brightness, contrast, saturation and hue of large images (arXiv 1312.5402).
        random_interpolation: Whether to resize each large image with a method that is chosen at random from bilinear,
            area, nearest and bicubic.
        rand_augment: The strength, from 0 to 1, of the two changes that RandAugment draws for each image; 0 disables
            RandAugment.
        mixup: Pairs of images, and their labels, are mixed with shares from a Beta distribution whose parameters both
            equal this number (arXiv 1710.09412); 0 disables mixup.
        cutmix: A rectangle of each image is replaced with that of its neighbour, and its share of the area comes from
            a Beta distribution whose parameters both equal this number (arXiv 1905.04899); 0 disables CutMix. If mixup
            is enabled as well, one of the two is drawn for each image.

    Raises:
        ValueError: If a probability or `rand_augment` is not between 0 and 1, or another number is negative.
    """

    flip: float = 0.5
    shift: int = 0
    erase: float = 0.0
    distort: bool = False
    random_interpolation: bool = False
    rand_augment: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    _changes: Any = dataclasses.field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("flip", "erase", "rand_augment"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1. Received: {getattr(self, name)}")
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Received: {getattr(self, name)}")
        if self.shift < 0:
            raise ValueError(f"shift must be at least 0 pixels. Received: {self.shift}")

        # The layer is created here because it creates variables, which a function of a pipeline must not do.
        if self.rand_augment:
            changes = keras.layers.RandAugment((0, 255), num_ops=CHANGES, factor=self.rand_augment, seed=0)
            object.__setattr__(self, "_changes", changes)

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with other images of their batch."""
        return bool(self.mixup or self.cutmix)

    def change_batch(self, images: tf.Tensor, places: tf.Tensor, batch_size: int, seed: tf.Tensor) -> tf.Tensor:
        """Changes small images: flips, shifts, erases rectangles and applies RandAugment.

        Args:
            images: uint8 (part, height, width, channels).
            places: int32 (part,), the positions of these images in the whole batch.
            batch_size: The number of images in the whole batch.
            seed: int64 (2,), the seed of the whole batch.

        Returns:
            The changed images, uint8 of the same shape.
        """
        geometry, rectangles, noise = tf.unstack(tf.random.split(seed, 3))
        if self.flip or self.shift:
            images = self._move(images, _draws(geometry, batch_size, 3, places))
        if self.erase:
            pixels = tf.random.stateless_uniform((batch_size, *images.shape[1:]), noise, maxval=256, dtype=tf.int32)
            inside = self._rectangles(images, _draws(rectangles, batch_size, 5, places))
            images = tf.where(inside, tf.cast(tf.gather(pixels, places), tf.uint8), images)
        if self.rand_augment:

            def change(element: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
                image, place = element
                own = tf.random.experimental.stateless_fold_in(seed, place)
                return tf.cast(self._rand_augment(tf.cast(image, tf.float32), own), tf.uint8)

            images = tf.map_fn(change, (images, places), fn_output_signature=tf.uint8)
        return images

    def _rand_augment(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Applies Keras's RandAugment to one image, float32 (height, width, channels) in [0, 255], with a seed."""
        layer = self._changes
        layer.generator = _Draws(tf.random.experimental.stateless_fold_in(seed, -1))
        channels = image.shape[-1]
        # Some changes of RandAugment work on RGB images only.
        batch = (tf.image.grayscale_to_rgb(image) if channels == 1 else image)[tf.newaxis]
        changed = layer.transform_images(batch, layer.get_random_transformation(batch))
        changed = tf.clip_by_value(tf.ensure_shape(changed, batch.shape)[0], 0, 255)
        return tf.image.rgb_to_grayscale(changed) if channels == 1 else changed

    def mix(
        self, images: tf.Tensor, targets: tf.Tensor, places: tf.Tensor, batch_size: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes every image with its neighbour in the batch, and their targets with the same shares.

        Keras's MixUp and CutMix draw the partner of an image from the images that they receive, so that their results
        depend on the number of replicas. Neighbours are always on the same replica, and they are random partners
        because the order of a batch is random.

        Args:
            images: float32 (part, height, width, channels).
            targets: float32 (part, classes), each with the sum 1.
            places: int64 (part,), the positions of these images in the whole batch: consecutive, from an even one on.
            batch_size: The number of images in the whole batch; if it is odd, the last image is not changed.
            seed: int64 (2,), the seed of the whole batch.

        Returns:
            The mixed images and targets, of the same shapes.
        """
        partners = tf.minimum(tf.bitwise.bitwise_xor(places, 1), batch_size - 1) - places[0]
        others, their_targets = tf.gather(images, partners), tf.gather(targets, partners)
        draws, mixup_seed, cutmix_seed = tf.unstack(tf.random.split(seed, 3))
        which, *corner = _draws(draws, batch_size, 3, places)
        height, width = images.shape[1:3]
        share = tf.ones_like(which)
        mixed = images
        if self.mixup:
            share = tf.gather(_beta(mixup_seed, batch_size, self.mixup), places)
            mixed = others + share[:, None, None, None] * (images - others)
        if self.cutmix:
            side = tf.sqrt(1 - tf.gather(_beta(cutmix_seed, batch_size, self.cutmix), places))
            lengths = [tf.round(side * height), tf.round(side * width)]
            inside = _boxes((height, width), lengths, corner)
            cut = tf.where(inside, others, images)
            cut_share = 1 - lengths[0] * lengths[1] / (height * width)
            chosen = which < (0.5 if self.mixup else 1.0)
            mixed = tf.where(chosen[:, None, None, None], cut, mixed)
            share = tf.where(chosen, cut_share, share)
        return mixed, their_targets + share[:, None] * (targets - their_targets)

    def _move(self, images: tf.Tensor, draws: list[tf.Tensor]) -> tf.Tensor:
        flipped = draws[0] < self.flip
        right, down = (tf.floor(one * (2 * self.shift + 1)) - self.shift for one in draws[1:])
        # The pixel (x, y) of the new image is the pixel (a x + c, y + f) of the old image.
        direction = tf.where(flipped, -1.0, 1.0)
        left_end = tf.where(flipped, images.shape[2] - 1.0, 0.0) - right * direction
        zero, one = tf.zeros_like(right), tf.ones_like(right)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([direction, zero, left_end, zero, one, -down, zero, zero], axis=1),
            output_shape=images.shape[1:3],
            fill_value=0.0,
            interpolation="NEAREST",
            fill_mode="CONSTANT",
        )

    def _rectangles(self, images: tf.Tensor, draws: list[tf.Tensor]) -> tf.Tensor:
        """Returns a mask of the pixels to erase, bool (part, height, width, 1)."""
        height, width = images.shape[1:3]
        chosen, area, aspect, *corner = draws
        pixels = (ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0])) * height * width
        aspect = ERASED_ASPECT[0] + aspect * (ERASED_ASPECT[1] - ERASED_ASPECT[0])
        lengths = [
            tf.clip_by_value(tf.round(tf.sqrt(length)), 1, side)
            for side, length in zip((height, width), (pixels * aspect, pixels / aspect), strict=True)
        ]
        return (chosen < self.erase)[:, None, None, None] & _boxes((height, width), lengths, corner)

    def crop(self, encoded: tf.Tensor, size: int, channels: int, seed: tf.Tensor, *, turned: bool = False) -> tf.Tensor:
        """Crops a large image at random, resizes the crop, and changes it as the attributes say.

        Args:
            encoded: The bytes of an image file.
            size: Height and width of the result, in pixels.
            channels: 1 or 3.
            seed: int64 (2,).
            turned: Whether the file may store the image rotated or mirrored; see `decode_box`.

        Returns:
            float32 (size, size, channels), in [0, 255].
        """
        box_seed, flip_seed, method_seed, colour_seed = tf.unstack(tf.random.split(seed, 4))

        def box(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
            begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
                tf.stack([height, width, channels]),
                tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
                box_seed,
                min_object_covered=0.0,
                area_range=CROP_AREA,
                aspect_ratio_range=CROP_ASPECT,
            )
            return tf.concat([begin[:2], extent[:2]], axis=0)

        image = decode_box(encoded, channels, box, turned=turned)
        if self.random_interpolation:
            method = tf.random.stateless_uniform((), method_seed, maxval=len(INTERPOLATIONS), dtype=tf.int32)
            ways = [lambda name=name: resize(image, (size, size), name) for name in INTERPOLATIONS]
            image = tf.switch_case(method, ways)
        else:
            image = resize(image, (size, size))
        if self.flip:
            flipped = tf.random.stateless_uniform((), flip_seed) < self.flip
            image = tf.where(flipped, tf.reverse(image, axis=[1]), image)
        if self.rand_augment:
            image = self._rand_augment(image, seed)
        return _distort(image, colour_seed) if self.distort else image


def _draws(seed: tf.Tensor, batch_size: int, count: int, places: tf.Tensor) -> list[tf.Tensor]:
    """Draws `count` numbers in [0, 1) for each of the given images, independently of which others are given."""
    return tf.unstack(tf.gather(tf.random.stateless_uniform((batch_size, count), seed), places), axis=1)


def _boxes(size: tuple[int, int], lengths: list[tf.Tensor], draws: list[tf.Tensor]) -> tf.Tensor:
    """Returns a mask of the pixels in randomly placed rectangles of the given sizes, bool (part, height, width, 1)."""
    within = []
    for side, length, draw in zip(size, lengths, draws, strict=True):
        start = tf.floor(draw * (side - length + 1))
        line = tf.range(side, dtype=tf.float32)
        within.append((line >= start[:, None]) & (line < (start + length)[:, None]))
    rows, columns = within
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def _beta(seed: tf.Tensor, count: int, alpha: float) -> tf.Tensor:
    """Draws numbers, float32 (count,), from the Beta distribution whose parameters are both `alpha`."""
    one, other = tf.unstack(tf.random.stateless_gamma((2, count), seed, alpha))
    # For a small alpha, both numbers may be rounded to zero.
    return tf.math.divide_no_nan(one, one + other)


class _Draws(keras.random.SeedGenerator):
    """A seed generator for a Keras layer whose seeds depend on one given seed only, and not on earlier calls.

    Args:
        seed: int64 (2,).
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # The seed generator of Keras keeps its state in a variable, which every call changes.
        self._seed, self._count = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the next seed, int32 (2,). Keras calls this method."""
        self._count += 1
        return tf.cast(tf.random.experimental.stateless_fold_in(self._seed, self._count), tf.int32)


def _distort(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    brightness, contrast, saturation, hue = tf.unstack(tf.random.split(seed, 4))
    image = image / 255 * tf.random.stateless_uniform((), brightness, *DISTORTION)
    image = tf.image.stateless_random_contrast(image, *DISTORTION, contrast)
    if image.shape[-1] == 3:
        image = tf.clip_by_value(image, 0, 1)  # the conversion to hue and saturation requires it
        image = tf.image.stateless_random_saturation(image, *DISTORTION, saturation)
        image = tf.image.stateless_random_hue(image, HUE, hue)
    return tf.clip_by_value(image, 0, 1) * 255
