"""One image seen in several crops, as networks were tested for publication."""

import tensorflow as tf

# Krizhevsky et al. 2012, section 4.1, and Szegedy et al., "Going Deeper with Convolutions", section 7: the shorter side
# of the image in pixels, for a network that takes 224.
PUBLISHED_SIZE = 224
TEN_CROP_SIDE = 256
PAPER_SIDES = (256, 288, 320, 352)


def ten_crops(image: tf.Tensor, size: int) -> tf.Tensor:
    """The four corners and the centre of an image, mirrored too (Krizhevsky et al. 2012, section 4.1).

    The image is first resized so that its shorter side exceeds a crop as published: 256 pixels for 224.

    Args:
        image: Pixels (height, width, channels) of any number type and size.
        size: Height and width of a crop, in pixels.

    Returns:
        float32 pixels (10, size, size, channels): bilinear, antialiased where the image shrinks. The second half are
        the mirror images of the first, in the same order.
    """
    return _and_mirrored(_corners_and_centre(_resize_shorter_side(image, TEN_CROP_SIDE, size), size))


def paper_crops(image: tf.Tensor, size: int) -> tf.Tensor:
    """The 144 crops of GoogLeNet's paper, section 7.

    Of each of four sizes of the image, three squares along its longer side; of each square the four corners, the centre
    and the whole of it; all of them mirrored too. Of a square image the three squares are the same.

    Args:
        image: See `ten_crops`.
        size: See there.

    Returns:
        float32 pixels (144, size, size, channels); see there.
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
    """Resizes an image in proportion, to a side published for crops of 224 pixels and meant for ones of `size`."""
    shorter = round(published * size / PUBLISHED_SIZE)
    extent = tf.shape(image)[:2]
    resized = tf.round(shorter * extent / tf.reduce_min(extent))
    height, width = tf.unstack(tf.cast(resized, tf.int32))
    return _resize(image, height, width)


def _squares(image: tf.Tensor) -> list[tf.Tensor]:
    """Left, centre and right, or top, centre and bottom."""
    extent = tf.shape(image)[:2]
    side = tf.reduce_min(extent)
    return [_crop(image, place, side) for place in (tf.zeros_like(extent), (extent - side) // 2, extent - side)]


def _corners_and_centre(image: tf.Tensor, size: int) -> list[tf.Tensor]:
    """The corners row by row, then the centre."""
    bottom, right = tf.unstack(tf.shape(image)[:2] - size)
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    return [tf.ensure_shape(_crop(image, place, size), (size, size, None)) for place in places]


def _crop(
    image: tf.Tensor, place: tf.Tensor | tuple[int | tf.Tensor, int | tf.Tensor], side: int | tf.Tensor
) -> tf.Tensor:
    top, left = place[0], place[1]
    return image[top : top + side, left : left + side]
