"""Decodes image files to pixels, turns them upright by the EXIF orientation, and refuses images that are too large."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# The value of Pillow's Image.MAX_IMAGE_PIXELS: a quarter of a gigabyte of RGB. Without a limit, a file of a few
# kilobytes could claim many more pixels and exhaust the memory.
MOST_PIXELS = 2**30 // 4 // 3

_TOO_LARGE = f"The image has more than {MOST_PIXELS:,} pixels; make it smaller"
# The Exif segment is the first segment of a JPEG file, or the second after a JFIF segment of about 20 bytes (Exif 2.32,
# section 4.5.4). In a PNG file, only small chunks and a colour profile of a few kilobytes come before it. It has at
# most 65,535 bytes.
_EXIF_BEGINS_WITHIN = 2**13
_LONGEST_EXIF = 2**16
_ORIENTATION_TAG = 0x0112
_MOST_TAGS = 512


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes a JPEG or PNG file, or another format that `tf.io.decode_image` reads, and turns the image upright.

    Args:
        encoded: Scalar string, the file's bytes.
        channels: 1 or 3.

    Returns:
        The pixels as uint8 (height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: If `encoded` is not such a file, or if the image has more than `MOST_PIXELS`
            pixels; `refusal` converts the error to a message.
    """
    with tf.control_dependencies([_assert_size(*_header_size(encoded))]):
        # Decodes to RGB first, because the decoders cannot convert every kind of file (CMYK, palettes) to grey.
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    height, width, _ = tf.unstack(tf.shape(image))
    # The size is known only now if the header of the format is not read; the next steps take four times the memory.
    with tf.control_dependencies([_assert_size(height, width)]):
        image = tf.cond(_has_exif(encoded), lambda: _turn(image, _orientation(encoded)), lambda: image)
        return _in_channels(image, channels)


def decode_box(
    encoded: tf.Tensor, channels: int, box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *, turned: bool
) -> tf.Tensor:
    """Decodes a part of an image file that `inspect_image` has accepted.

    Args:
        encoded: Scalar string, the file's bytes.
        channels: 1 or 3.
        box: A function from the height and width of the upright image to int32 (4,): the top, left, height and width
            of the part.
        turned: Whether the image may be stored turned. If it is False, the function does not look for the orientation,
            and decodes only the part of a JPEG file; a pipeline then processes 1.4 times as many images of 500x375.

    Returns:
        The part of the result of `decode_image`, as uint8 (height, width, channels). It differs from that result only
        at the borders of the part, where the colours that a JPEG file keeps in half resolution are interpolated
        differently.

    Raises:
        tf.errors.InvalidArgumentError: If `encoded` is not an image file.
    """

    def part_of(image: tf.Tensor) -> tf.Tensor:
        top, left, rows, columns = tf.unstack(box(*tf.unstack(tf.shape(image)[:2])))
        return image[top : top + rows, left : left + columns]

    def jpeg() -> tf.Tensor:
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded))
        return tf.io.decode_and_crop_jpeg(encoded, box(height, width), channels=3)

    if turned:
        image = part_of(decode_image(encoded, 3))
    else:
        image = tf.cond(
            tf.io.is_jpeg(encoded), jpeg, lambda: part_of(tf.io.decode_image(encoded, 3, expand_animations=False))
        )
    return _in_channels(image, channels)


class Inspection(NamedTuple):
    """The result of `inspect_image`.

    Attributes:
        height: The height of the upright image, in pixels.
        width: The width of the upright image, in pixels.
        grey: Whether the image is stored in grey.
        turned: Whether the image is stored turned.
    """

    height: int
    width: int
    grey: bool
    turned: bool


def inspect_image(encoded: bytes) -> Inspection:
    """Reads every byte of an image file to check it, with less time and memory than `decode_image` needs.

    Args:
        encoded: The file's bytes.

    Raises:
        ValueError: If `decode_image` would refuse the file; the message says why.
    """
    try:
        height, width = _traced_header_size(encoded)
        _assert_size(height, width)
        if tf.io.is_jpeg(encoded):
            channels = tf.io.extract_jpeg_shape(encoded)[2]
            # Decoding an eighth of the pixels in each direction is three times as fast.
            tf.io.decode_jpeg(encoded, channels=3, ratio=8)
        else:
            height, width, channels = tf.unstack(tf.shape(tf.io.decode_image(encoded, expand_animations=False)))
            _assert_size(height, width)
        orientation = _traced_orientation(encoded)
        if bool(_turns(orientation)[0]):
            height, width = width, height
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(refusal(error)) from None
    # A grey file may have a second channel for transparency.
    return Inspection(int(height), int(width), grey=int(channels) <= 2, turned=int(orientation) != 1)


def refusal(error: Exception) -> str:
    """Returns a message that tells the user why an image was refused.

    Args:
        error: The error that `decode_image`, or a graph that contains it, raised.
    """
    if _TOO_LARGE in str(error):
        return _TOO_LARGE
    return "not an image that can be read (JPEG, PNG, GIF, BMP, WebP), or a damaged one"


def _header_size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the height and width in pixels, int32, that the first bytes of the file give.

    Both are 0 for BMP, which cannot claim more pixels than the file holds, and for WebP, which has at most three times
    `MOST_PIXELS`.
    """

    def other() -> tf.Tensor:
        first = _bytes(encoded, 0, 24)
        png = tf.stack([_number(first, 20, 4, big_endian=True), _number(first, 16, 4, big_endian=True)])
        gif = tf.stack([_number(first, 8, 2, big_endian=False), _number(first, 6, 2, big_endian=False)])
        size = tf.where(_starts_with(encoded, b"\x89PNG"), png, tf.where(_starts_with(encoded, b"GIF8"), gif, 0))
        return tf.cast(tf.minimum(size, tf.int32.max), tf.int32)

    height, width = tf.unstack(
        tf.cond(tf.io.is_jpeg(encoded), lambda: tf.io.extract_jpeg_shape(encoded)[:2], other), num=2
    )
    return height, width


def _assert_size(height: tf.Tensor, width: tf.Tensor) -> tf.Operation | None:
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    # tf.debugging.Assert would wrap the operation in a tf.cond.
    return tf.raw_ops.Assert(condition=pixels <= MOST_PIXELS, data=[_TOO_LARGE, height, width])


def _in_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """Converts RGB pixels to uint8 (height, width, channels)."""
    image.set_shape((None, None, 3))
    return tf.image.rgb_to_grayscale(image) if channels == 1 else image


def _turn(stored: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns stored pixels upright."""
    transposed, upside_down, mirrored = _turns(orientation)
    image = tf.transpose(stored, tf.where(transposed, (1, 0, 2), (0, 1, 2)))
    return tf.raw_ops.Reverse(tensor=image, dims=tf.stack([upside_down, mirrored, False]))


def _turns(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns how to turn stored pixels upright: whether to transpose them, then reverse the rows, then the columns.

    Source: Exif 2.32, section 4.6.4 (Orientation gives the side of the upright image on which the stored row 0 and
    column 0 belong).
    """
    table = tf.constant(
        [
            (False, False, False),  # 1: top, left
            (False, False, True),  # 2: top, right
            (False, True, True),  # 3: bottom, right
            (False, True, False),  # 4: bottom, left
            (True, False, False),  # 5: left, top
            (True, False, True),  # 6: right, top
            (True, True, True),  # 7: right, bottom
            (True, True, False),  # 8: left, bottom
        ]
    )
    transposed, upside_down, mirrored = tf.unstack(table[orientation - 1])
    return transposed, upside_down, mirrored


def _has_exif(encoded: tf.Tensor) -> tf.Tensor:
    """Returns whether there may be an EXIF structure, in one operation because most files have none."""
    head = tf.strings.substr(encoded, 0, _EXIF_BEGINS_WITHIN)
    return tf.strings.regex_full_match(head, r"\C*(?:Exif|eXIf)\C*")  # \C matches any byte


def _orientation(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the EXIF orientation of a JPEG or PNG file, int32 from 1 to 8; it is 1 if the file has none."""
    is_jpeg = tf.io.is_jpeg(encoded)
    name = tf.where(is_jpeg, _code(b"Exif"), _code(b"eXIf"))
    # Splits the first bytes of the file into groups of four, once from each of the first four bytes, because the name
    # may begin at any byte.
    fours = tf.io.decode_raw(
        tf.stack([tf.strings.substr(encoded, first, _EXIF_BEGINS_WITHIN) for first in range(4)]),
        tf.int32,
        fixed_length=_EXIF_BEGINS_WITHIN,
    )
    found = tf.where(tf.transpose(fours) == name)
    place = tf.concat([tf.cast(4 * found[:, 0] + found[:, 1], tf.int32), [-1]], axis=0)[0]
    # In a JPEG file, two zero bytes follow the name.
    begin = place + tf.where(is_jpeg, 6, 4)
    begin, length = tf.where(place < 0, 0, begin), tf.where(place < 0, 0, _LONGEST_EXIF)
    return _orientation_of_tiff(_bytes(encoded, tf.minimum(begin, tf.strings.length(encoded)), length))


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """Returns the tag Orientation of the first directory of the TIFF structure in EXIF (TIFF 6.0, section 2)."""
    big_endian = tiff[0] == ord("M")
    directory = _number(tiff, 4, 4, big_endian)
    tags = directory + 2 + 12 * tf.range(tf.minimum(_number(tiff, directory, 2, big_endian), _MOST_TAGS))
    is_orientation = _number(tiff, tags, 2, big_endian) == _ORIENTATION_TAG
    values = tf.boolean_mask(_number(tiff, tags + 8, 2, big_endian), is_orientation)
    value = tf.cast(tf.concat([values, [1]], axis=0)[0], tf.int32)
    return tf.where((value >= 1) & (value <= 8), value, 1)


# These are graphs because a folder may have thousands of files to inspect, and each would take 10 ms if Python ran the
# operations one by one.
_ONE_FILE = (tf.TensorSpec((), tf.string),)
_traced_header_size = tf.function(_header_size, input_signature=_ONE_FILE)
_traced_orientation = tf.function(_orientation, input_signature=_ONE_FILE)


def _starts_with(encoded: tf.Tensor, signature: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(encoded, 0, len(signature)), signature)


def _code(name: bytes) -> int:
    """Returns the integer that `tf.io.decode_raw` returns for four bytes."""
    return int.from_bytes(name, "little")


def _bytes(encoded: tf.Tensor, begin: tf.Tensor | int, length: tf.Tensor | int) -> tf.Tensor:
    """Returns ``length`` bytes of a string from ``begin``, and a zero at the end, as uint8 (bytes + 1,)."""
    return tf.pad(tf.io.decode_raw(tf.strings.substr(encoded, begin, length), tf.uint8), [[0, 1]])


def _number(content: tf.Tensor, place: tf.Tensor | int, size: int, big_endian: tf.Tensor | bool) -> tf.Tensor:
    """Reads unsigned integers from bytes.

    Args:
        content: uint8 (bytes,); a read beyond its end returns its last byte.
        place: The position of the first byte of each integer; an integer or int64 of any shape.
        size: The number of bytes of each integer, 2 or 4.
        big_endian: Whether the first byte is the most significant.

    Returns:
        The integers as int64, with the shape of ``place``.
    """
    places = tf.cast(place, tf.int64)[..., tf.newaxis] + tf.range(size, dtype=tf.int64)
    read = tf.cast(tf.gather(content, tf.minimum(places, tf.size(content, tf.int64) - 1)), tf.int64)
    weights = tf.constant([256**i for i in range(size)], tf.int64)
    return tf.reduce_sum(read * tf.where(big_endian, weights[::-1], weights), axis=-1)
