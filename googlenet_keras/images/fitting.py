"""Crops and resizes images of any size to the size of a network's input."""

import tensorflow as tf


def fit_images(images: tf.Tensor, size: tuple[int, int], crop_fraction: float) -> tf.Tensor:
    """Crops the centre of images to the aspect ratio of the network's input and resizes it to the size of the input.

    Args:
        images: Pixels (batch, height, width, channels) of any numeric type.
        size: Height and width of the network's input, in pixels.
        crop_fraction: The height and width of the crop, as a fraction of those of the largest crop with this aspect
            ratio.

    Returns:
        float32 pixels (batch, *size, channels), resized bilinearly, with antialiasing if the image shrinks.
    """
    extent = tf.cast(tf.shape(images)[1:3], tf.float32)
    scale = crop_fraction * tf.reduce_min(extent / tf.constant(size, tf.float32))
    crop = tf.cast(tf.maximum(tf.round(scale * tf.constant(size, tf.float32)), 1), tf.int32)
    top, left = tf.unstack((tf.shape(images)[1:3] - crop) // 2)
    return resize(images[:, top : top + crop[0], left : left + crop[1], :], size)


def resize(images: tf.Tensor, size: tuple[int, int], method: str = "bilinear") -> tf.Tensor:
    """Resizes one image or several, with antialiasing if they shrink.

    Args:
        images: Pixels (..., height, width, channels) of any numeric type.
        size: Height and width of the result, in pixels.
        method: An interpolation method of `tf.image.resize`.

    Returns:
        float32 pixels (..., *size, channels).
    """
    extent = tf.shape(images)[-3:-1]
    # If nothing shrinks, antialiasing changes nothing but takes fourteen times as long.
    resized = tf.cond(
        tf.reduce_all(extent <= size),
        lambda: tf.cast(tf.image.resize(images, size, method), tf.float32),
        lambda: tf.cast(tf.image.resize(images, size, method, antialias=True), tf.float32),
    )
    resized.set_shape((*images.shape[:-3], *size, images.shape[-1]))
    return resized


def change_channels(images: tf.Tensor, channels: int) -> tf.Tensor:
    """Converts grey images to RGB or RGB images to grey, as `decode_image` does.

    Images that already have this number of channels are returned unchanged.

    Args:
        images: Pixels (..., height, width, 1 or 3).
        channels: The number of channels of the result, 1 or 3.
    """
    if images.shape[-1] == channels:
        return images
    return tf.image.grayscale_to_rgb(images) if channels == 3 else tf.image.rgb_to_grayscale(images)
