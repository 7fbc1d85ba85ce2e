"""Random changes to training images, as functions of a seed."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.images import decode_box, resize

# Random erasing (arXiv 1708.04896, section 3.2 and table 1): share of the image, height by width of the rectangle.
ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 1 / 0.3)
# GoogLeNet (arXiv 1409.4842, section 6): share of the image, width by height of the crop.
CROP_AREA = (0.08, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
# Changes of an image by RandAugment, one after the other (arXiv 1909.13719, section 4, and Keras's default).
CHANGES = 2
# Howard (arXiv 1312.5402, section 3): factor of contrast, brightness and colour.
DISTORTION = (0.5, 1.5)
# Part of the colour circle; TF-slim's preprocessing/inception_preprocessing.py.
HUE = 0.2
# GoogLeNet, section 6: "with equal probability".
INTERPOLATIONS = ("bilinear", "area", "nearest", "bicubic")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """The random changes of training images; large images are always cropped at random.

    Attributes:
        flip: Probability of mirroring left and right.
        shift: Small images are moved by at most this number of pixels along each axis; black comes in.
        erase: The probability that a rectangle of a small image becomes noise (arXiv 1708.04896).
        distort: Whether brightness, contrast, saturation and hue of large images change (arXiv 1312.5402).
        random_interpolation: Whether each large image is resized by bilinear, area, nearest or bicubic at random.
        rand_augment: The strength of the two changes that RandAugment draws for an image, 0 to 1; 0 draws none.
        mixup: Images are mixed in pairs, by shares from a Beta distribution with both its parameters this number, and
            so are their labels (arXiv 1710.09412); 0 mixes none.
        cutmix: A rectangle of each image comes from its neighbour, of an area from such a distribution (arXiv
            1905.04899); 0 cuts none. With both, either is drawn for each image.

    Raises:
        ValueError: If a probability or strength is not in 0 to 1, or another number is negative.
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
                raise ValueError(f"{name} must be in 0 to 1. Received: {getattr(self, name)}")
        for name in ("mixup", "cutmix"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Received: {getattr(self, name)}")
        if self.shift < 0:
            raise ValueError(f"shift must be at least 0 pixels. Received: {self.shift}")

        # The layer makes variables, which a pipeline's functions may not.
        if self.rand_augment:
            changes = keras.layers.RandAugment((0, 255), num_ops=CHANGES, factor=self.rand_augment, seed=0)
            object.__setattr__(self, "_changes", changes)

    @property
    def mixes(self) -> bool:
        """True if images are mixed with others of their batch."""
        return bool(self.mixup or self.cutmix)

    def change_batch(self, images: tf.Tensor, places: tf.Tensor, batch_size: int, seed: tf.Tensor) -> tf.Tensor:
        """Flips, shifts and erases small images.

        Args:
            images: uint8 (part, height, width, channels).
            places: int32 (part,): which of the whole batch's images these are.
            batch_size: Images in the whole batch.
            seed: int64 (2,), for the whole batch.

        Returns:
            The images, changed; uint8, of the same shape.
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
        """Keras's RandAugment of one image, float32 (height, width, channels) in 0 to 255, by a seed of its own."""
        layer = self._changes
        layer.generator = _Draws(tf.random.experimental.stateless_fold_in(seed, -1))
        channels = image.shape[-1]
        # Some of its changes know colours only.
        batch = (tf.image.grayscale_to_rgb(image) if channels == 1 else image)[tf.newaxis]
        changed = layer.transform_images(batch, layer.get_random_transformation(batch))
        changed = tf.clip_by_value(tf.ensure_shape(changed, batch.shape)[0], 0, 255)
        return tf.image.rgb_to_grayscale(changed) if channels == 1 else changed

    def mix(
        self, images: tf.Tensor, targets: tf.Tensor, places: tf.Tensor, batch_size: int, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mixes every image with its neighbour in the batch, and their targets by the same shares.

        Keras's MixUp and CutMix draw a partner among the images that they are given: on several replicas these are
        others than on one. The order of a batch is random as it is, and neighbours come to the same replica.

        Args:
            images: float32 (part, height, width, channels).
            targets: float32 (part, classes), each with the sum 1.
            places: int64 (part,): which of the whole batch's images these are, in a row from an even one on.
            batch_size: Images in the whole batch; the last of an odd number stays as it is.
            seed: int64 (2,), for the whole batch.

        Returns:
            Images and targets of the same shapes.
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
        # Where in the old image a new image's pixel is: (a x + c, y + f).
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
        """Marks the pixels that are erased: bool (part, height, width, 1)."""
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
        """A random part of a large image, changed as the fields say.

        Args:
            encoded: The bytes of an image file.
            size: Height and width of the result, in pixels.
            channels: 1 or 3.
            seed: int64 (2,).
            turned: Whether the file may be stored turned; see `decode_box`.

        Returns:
            float32 (size, size, channels), in 0 to 255.
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
    """Numbers in [0, 1) for some of a batch's images, whichever others are asked for here."""
    return tf.unstack(tf.gather(tf.random.stateless_uniform((batch_size, count), seed), places), axis=1)


def _boxes(size: tuple[int, int], lengths: list[tf.Tensor], draws: list[tf.Tensor]) -> tf.Tensor:
    """Marks the pixels inside randomly placed rectangles of the given sizes: bool (part, height, width, 1)."""
    within = []
    for side, length, draw in zip(size, lengths, draws, strict=True):
        start = tf.floor(draw * (side - length + 1))
        line = tf.range(side, dtype=tf.float32)
        within.append((line >= start[:, None]) & (line < (start + length)[:, None]))
    rows, columns = within
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def _beta(seed: tf.Tensor, count: int, alpha: float) -> tf.Tensor:
    """Numbers from a Beta distribution with both its parameters alpha, float32 (count,)."""
    one, other = tf.unstack(tf.random.stateless_gamma((2, count), seed, alpha))
    # For a small alpha both may be as good as zero.
    return tf.math.divide_no_nan(one, one + other)


class _Draws(keras.random.SeedGenerator):
    """Seeds for the random numbers of a Keras layer that follow from one seed, and from nothing before.

    Args:
        seed: int64 (2,).
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # Keras's own has a variable, which every call changes.
        self._seed, self._count = seed, 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """The next seed, int32 (2,); called by Keras."""
        self._count += 1
        return tf.cast(tf.random.experimental.stateless_fold_in(self._seed, self._count), tf.int32)


def _distort(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    brightness, contrast, saturation, hue = tf.unstack(tf.random.split(seed, 4))
    image = image / 255 * tf.random.stateless_uniform((), brightness, *DISTORTION)
    image = tf.image.stateless_random_contrast(image, *DISTORTION, contrast)
    if image.shape[-1] == 3:
        image = tf.clip_by_value(image, 0, 1)  # the colour circle knows no others
        image = tf.image.stateless_random_saturation(image, *DISTORTION, saturation)
        image = tf.image.stateless_random_hue(image, HUE, hue)
    return tf.clip_by_value(image, 0, 1) * 255
