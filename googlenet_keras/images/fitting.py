"""Resizes and crops pixels of any size to the size of a network's input."""

import tensorflow as tf


def fit_images(images: tf.Tensor, size: tuple[int, int], crop_fraction: float) -> tf.Tensor:
    """Crops images centrally to the network's aspect ratio and resizes them to its input.

    Args:
        images: Pixels (batch, height, width, channels) of any number type.
        size: Height and width of the network's input, in pixels.
        crop_fraction: Part of the largest such crop that is kept.

    Returns:
        float32 pixels (batch, *size, channels): bilinear, antialiased where the image shrinks.
    """
    extent = tf.cast(tf.shape(images)[1:3], tf.float32)
    scale = crop_fraction * tf.reduce_min(extent / tf.constant(size, tf.float32))
    crop = tf.cast(tf.maximum(tf.round(scale * tf.constant(size, tf.float32)), 1), tf.int32)
    top, left = tf.unstack((tf.shape(images)[1:3] - crop) // 2)
    return resize(images[:, top : top + crop[0], left : left + crop[1], :], size)


def resize(images: tf.Tensor, size: tuple[int, int], method: str = "bilinear") -> tf.Tensor:
    """Resizes images, or one image, antialiased where they shrink.

    Args:
        images: Pixels (..., height, width, channels) of any number type.
        size: Height and width of the result, in pixels.
        method: A method of `tf.image.resize`.

    Returns:
        float32 pixels (..., *size, channels).
    """
    extent = tf.shape(images)[-3:-1]
    # Where nothing shrinks antialiasing changes nothing, and takes fourteen times as long.
    resized = tf.cond(
        tf.reduce_all(extent <= size),
        lambda: tf.cast(tf.image.resize(images, size, method), tf.float32),
        lambda: tf.cast(tf.image.resize(images, size, method, antialias=True), tf.float32),
    )
    resized.set_shape((*images.shape[:-3], *size, images.shape[-1]))
    return resized


def change_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Makes grey images RGB or RGB images grey, as `decode_image` does; others stay as they are.

    Args:
        images: Pixels (..., height, width, 1 or 3).
        channels: 1 or 3.
    """
    if images.shape[-1] == channels:
        return images
    return tf.image.grayscale_to_rgb(images) if channels == 3 else tf.image.rgb_to_grayscale(images)
