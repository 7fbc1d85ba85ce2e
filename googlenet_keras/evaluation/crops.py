"""Cuts several crops from an image, as in the published tests of networks."""

import tensorflow as tf

# The shorter side of the resized image in pixels, for a network whose input is 224x224 (Krizhevsky et al. 2012, section
# 4.1, and Szegedy et al., "Going Deeper with Convolutions", section 7).
PUBLISHED_SIZE = 224
TEN_CROP_SIDE = 256
PAPER_SIDES = (256, 288, 320, 352)


def ten_crops(image: tf.Tensor, size: int) -> tf.Tensor:
    """Returns crops of the four corners and the centre of an image, and the mirror image of each crop.

    The image is first resized so that the ratio of its shorter side to the crop is the published one, 256 to 224
    (Krizhevsky et al. 2012, section 4.1).

    Args:
        image: Pixels (height, width, channels) of any numeric type and size.
        size: Height and width of a crop, in pixels.

    Returns:
        float32 pixels (10, size, size, channels), resized bilinearly, with antialiasing if the image shrinks. The
        second half contains the mirror images of the first half, in the same order.
    """
    return _and_mirrored(_corners_and_centre(_resize_shorter_side(image, TEN_CROP_SIDE, size), size))


def paper_crops(image: tf.Tensor, size: int) -> tf.Tensor:
    """Returns the 144 crops of an image that section 7 of GoogLeNet's paper describes.

    The image is resized to four sizes. Each size gives three squares along the longer side, and each square gives six
    crops: the four corners, the centre and the whole square. Each crop is also mirrored. The three squares of a square
    image are the same.

    Args:
        image: See `ten_crops`.
        size: See `ten_crops`.

    Returns:
        float32 pixels (144, size, size, channels), resized and ordered as in `ten_crops`.
    """
    crops = []
    for side in PAPER_SIDES:
        for square in _squares(_resize_shorter_side(image, side, size)):
            crops += [*_corners_and_centre(square, size), _resize(square, size, size)]
    return _and_mirrored(crops)


CROPS = {10: ten_crops, 144: paper_crops}


def _and_mirrored(crops: list[tf.Tensor]) -> tf.Tensor:
    stacked = tf.stack(crops)
    return tf.concat([stacked, tf.reverse(stacked, axis=[2])], axis=0)


def _resize(image: tf.Tensor, height: int | tf.Tensor, width: int | tf.Tensor) -> tf.Tensor:
    return tf.image.resize(image, (height, width), method="bilinear", antialias=True)


def _resize_shorter_side(image: tf.Tensor, published: int, size: int) -> tf.Tensor:
    """Resizes an image in proportion so that its shorter side is to ``size`` as ``published`` is to 224 pixels."""
    shorter = round(published * size / PUBLISHED_SIZE)
    extent = tf.shape(image)[:2]
    resized = tf.round(shorter * extent / tf.reduce_min(extent))
    height, width = tf.unstack(tf.cast(resized, tf.int32))
    return _resize(image, height, width)


def _squares(image: tf.Tensor) -> list[tf.Tensor]:
    """Returns the left, centre and right squares of an image, or the top, centre and bottom ones."""
    extent = tf.shape(image)[:2]
    side = tf.reduce_min(extent)
    return [_crop(image, place, side) for place in (tf.zeros_like(extent), (extent - side) // 2, extent - side)]


def _corners_and_centre(image: tf.Tensor, size: int) -> list[tf.Tensor]:
    """Returns crops of the corners row by row, then of the centre."""
    bottom, right = tf.unstack(tf.shape(image)[:2] - size)
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [tf.ensure_shape(_crop(image, place, size), (size, size, None)) for place in places]


def _crop(
    image: tf.Tensor, place: tf.Tensor | tuple[int | tf.Tensor, int | tf.Tensor], side: int | tf.Tensor
) -> tf.Tensor:
    top, left = place[0], place[1]
    return image[top : top + side, left : left + side]
