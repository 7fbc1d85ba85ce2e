"""Random changes to training images, as functions of a seed."""

from dataclasses import dataclass

import tensorflow as tf

from googlenet_keras.images import decode_box, resize

# Random erasing (arXiv 1708.04896, section 3.2 and table 1): share of the image, height by width of the rectangle.
ERASED_AREA = (0.02, 0.33)
ERASED_ASPECT = (0.3, 1 / 0.3)
# GoogLeNet (arXiv 1409.4842, section 6): share of the image, width by height of the crop.
CROP_AREA = (0.08, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
# Howard (arXiv 1312.5402, section 3): factor of contrast, brightness and colour.
DISTORTION = (0.5, 1.5)
# Part of the colour circle; TF-slim's preprocessing/inception_preprocessing.py.
HUE = 0.2
# GoogLeNet, section 6: "with equal probability".
INTERPOLATIONS = ("bilinear", "area", "nearest", "bicubic")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images are changed at random; large ones are cropped at random in any case.

    Attributes:
        flip: Probability of mirroring left and right.
        shift: Of small images: pixels of the original that they are moved at most, along each axis; black comes in.
        erase: Of small images: probability that a rectangle becomes noise (arXiv 1708.04896).
        distort: Of large images: brightness, contrast, saturation and hue changed (arXiv 1312.5402).
        random_interpolation: Of large images: resized by bilinear, area, nearest or bicubic interpolation.

    Raises:
        ValueError: If a probability is not in 0 to 1, or the shift is negative.
    """

    flip: float = 0.5
    shift: int = 0
    erase: float = 0.0
    distort: bool = False
    random_interpolation: bool = False

    def __post_init__(self) -> None:
        for name in ("flip", "erase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, from 0 to 1. Received: {getattr(self, name)}")
        if self.shift < 0:
            raise ValueError(f"shift must be at least 0 pixels. Received: {self.shift}")

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
        return images

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
        """Which pixels are erased: bool (part, height, width, 1)."""
        height, width = images.shape[1:3]
        chosen, area, aspect, *corner = draws
        pixels = (ERASED_AREA[0] + area * (ERASED_AREA[1] - ERASED_AREA[0])) * height * width
        aspect = ERASED_ASPECT[0] + aspect * (ERASED_ASPECT[1] - ERASED_ASPECT[0])
        within = []
        for side, length, draw in zip((height, width), (pixels * aspect, pixels / aspect), corner, strict=True):
            erased = tf.clip_by_value(tf.round(tf.sqrt(length)), 1, side)
            start = tf.floor(draw * (side - erased + 1))
            line = tf.range(side, dtype=tf.float32)
            within.append((line >= start[:, None]) & (line < (start + erased)[:, None]))
        rows, columns = within
        return ((chosen < self.erase)[:, None, None] & rows[:, :, None] & columns[:, None, :])[..., None]

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
        return _distort(image, colour_seed) if self.distort else image


def _draws(seed: tf.Tensor, batch_size: int, count: int, places: tf.Tensor) -> list[tf.Tensor]:
    """Numbers in [0, 1) for some of a batch's images, whichever others are asked for here."""
    return tf.unstack(tf.gather(tf.random.stateless_uniform((batch_size, count), seed), places), axis=1)


def _distort(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    brightness, contrast, saturation, hue = tf.unstack(tf.random.split(seed, 4))
    image = image / 255 * tf.random.stateless_uniform((), brightness, *DISTORTION)
    image = tf.image.stateless_random_contrast(image, *DISTORTION, contrast)
    if image.shape[-1] == 3:
        image = tf.clip_by_value(image, 0, 1)  # the colour circle knows no others
        image = tf.image.stateless_random_saturation(image, *DISTORTION, saturation)
        image = tf.image.stateless_random_hue(image, HUE, hue)
    return tf.clip_by_value(image, 0, 1) * 255
