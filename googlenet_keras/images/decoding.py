"""Decodes image files to pixels: upright as the EXIF orientation says, and never larger than a limit."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

# Pillow's Image.MAX_IMAGE_PIXELS: a quarter of a gigabyte of RGB. A file of some kilobytes may claim many more.
MOST_PIXELS = 2**30 // 4 // 3

_TOO_LARGE = f"The image has more than {MOST_PIXELS:,} pixels; make it smaller"
# Exif's segment is the first of a JPEG file, or the second behind JFIF's of some 20 bytes (Exif 2.32, section 4.5.4);
# in a PNG file only small chunks and a colour profile of a few kilobytes come before it. It has at most 65,535 bytes.
_EXIF_BEGINS_WITHIN = 2**13
_LONGEST_EXIF = 2**16
_ORIENTATION_TAG = 0x0112
_MOST_TAGS = 512


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes an image file of JPEG, PNG or what else `tf.io.decode_image` reads, and turns it upright.

    Args:
        encoded: Scalar string, the file's bytes.
        channels: 1 or 3.

    Returns:
        uint8 (height, width, channels).

    Raises:
        tf.errors.InvalidArgumentError: If it is no such file, or has more than `MOST_PIXELS`; see `refusal`.
    """
    with tf.control_dependencies([_assert_size(*_header_size(encoded))]):
        # By way of RGB, for the decoders cannot turn every kind of file (CMYK, palettes) into grey.
        image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    height, width, _ = tf.unstack(tf.shape(image))
    # Of a format whose header is not read the size is known only now; what follows takes four times the memory.
    with tf.control_dependencies([_assert_size(height, width)]):
        image = tf.cond(_has_exif(encoded), lambda: _turn(image, _orientation(encoded)), lambda: image)
        return _in_channels(image, channels)


def decode_box(
    encoded: tf.Tensor, channels: int, box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], *, turned: bool
) -> tf.Tensor:
    """Decodes a part of an image file that `inspect_image` has passed.

    Args:
        encoded: Scalar string, the file's bytes.
        channels: 1 or 3.
        box: From the upright image's height and width to int32 (4,): top, left, height and width of the part.
        turned: Whether the file may be stored turned. Of a JPEG file that is not, the rest is not decoded, and nobody
            looks for its orientation: a pipeline then gets 1.4 times as many images of 500x375 through.

    Returns:
        uint8 (height, width, channels): that part of what `decode_image` returns, but for the colours that a JPEG file
        keeps in half resolution, which are interpolated otherwise at the part's borders.

    Raises:
        tf.errors.InvalidArgumentError: If it is no image file.
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
    """The facts that `inspect_image` finds.

    Attributes:
        height: The height of the upright image, in pixels.
        width: The same.
        grey: Whether the file keeps the image in grey.
        turned: Whether it keeps it turned.
    """

    height: int
    width: int
    grey: bool
    turned: bool


def inspect_image(encoded: bytes) -> Inspection:
    """Looks at every byte of an image file, in less time and memory than decoding it takes.

    Args:
        encoded: The file's bytes.

    Raises:
        ValueError: If `decode_image` would refuse it; the message says why.
    """
    try:
        height, width = _traced_header_size(encoded)
        _assert_size(height, width)
        if tf.io.is_jpeg(encoded):
            channels = tf.io.extract_jpeg_shape(encoded)[2]
            # An eighth of the pixels in each direction, three times as fast.
            tf.io.decode_jpeg(encoded, channels=3, ratio=8)
        else:
            height, width, channels = tf.unstack(tf.shape(tf.io.decode_image(encoded, expand_animations=False)))
            _assert_size(height, width)
        orientation = _traced_orientation(encoded)
        if bool(_turns(orientation)[0]):
            height, width = width, height
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(refusal(error)) from None
    # A grey file may have a second channel, of transparency.
    return Inspection(int(height), int(width), grey=int(channels) <= 2, turned=int(orientation) != 1)


def refusal(error: Exception) -> str:
    """Why an image was refused, in words for its owner.

    Args:
        error: The error that `decode_image`, or a graph with it, raised.
    """
    if _TOO_LARGE in str(error):
        return _TOO_LARGE
    return "not an image that can be read (JPEG, PNG, GIF, BMP, WebP), or a damaged one"


def _header_size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width in pixels as the file's first bytes say, int32.

    They are 0 for BMP, which cannot claim more than it holds, and for WebP, which has at most thrice `MOST_PIXELS`.
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
    # tf.debugging.Assert would put a condition around it.
    return tf.raw_ops.Assert(condition=pixels <= MOST_PIXELS, data=[_TOO_LARGE, height, width])


def _in_channels(image: tf.Tensor, channels: int) -> tf.Tensor:
    """RGB pixels as uint8 (height, width, channels)."""
    image.set_shape((None, None, 3))
    return tf.image.rgb_to_grayscale(image) if channels == 1 else image


def _turn(stored: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Stored pixels turned upright."""
    transposed, upside_down, mirrored = _turns(orientation)
    image = tf.transpose(stored, tf.where(transposed, (1, 0, 2), (0, 1, 2)))
    return tf.raw_ops.Reverse(tensor=image, dims=tf.stack([upside_down, mirrored, False]))


def _turns(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns how to make stored pixels upright: whether to transpose, then to reverse the rows, then the columns.

    Source: Exif 2.32, section 4.6.4 (Orientation says where the stored row 0 and column 0 are to be seen).
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
    """True if there may be an EXIF structure: this takes one operation, because most files have none."""
    head = tf.strings.substr(encoded, 0, _EXIF_BEGINS_WITHIN)
    return tf.strings.regex_full_match(head, r"\C*(?:Exif|eXIf)\C*")  # \C is any byte


def _orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or PNG file, int32 in 1 to 8; 1 where there is none."""
    is_jpeg = tf.io.is_jpeg(encoded)
    name = tf.where(is_jpeg, _code(b"Exif"), _code(b"eXIf"))
    # The file's first bytes, in fours, beginning with each of the first four.
    fours = tf.io.decode_raw(
        tf.stack([tf.strings.substr(encoded, first, _EXIF_BEGINS_WITHIN) for first in range(4)]),
        tf.int32,
        fixed_length=_EXIF_BEGINS_WITHIN,
    )
    found = tf.where(tf.transpose(fours) == name)
    place = tf.concat([tf.cast(4 * found[:, 0] + found[:, 1], tf.int32), [-1]], axis=0)[0]
    # In a JPEG file two zeros follow the name.
    begin = place + tf.where(is_jpeg, 6, 4)
    begin, length = tf.where(place < 0, 0, begin), tf.where(place < 0, 0, _LONGEST_EXIF)
    return _orientation_of_tiff(_bytes(encoded, tf.minimum(begin, tf.strings.length(encoded)), length))


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """The tag Orientation of a TIFF structure's first directory, as EXIF has one (TIFF 6.0, section 2)."""
    big_endian = tiff[0] == ord("M")
    directory = _number(tiff, 4, 4, big_endian)
    tags = directory + 2 + 12 * tf.range(tf.minimum(_number(tiff, directory, 2, big_endian), _MOST_TAGS))
    is_orientation = _number(tiff, tags, 2, big_endian) == _ORIENTATION_TAG
    values = tf.boolean_mask(_number(tiff, tags + 8, 2, big_endian), is_orientation)
    value = tf.cast(tf.concat([values, [1]], axis=0)[0], tf.int32)
    return tf.where((value >= 1) & (value <= 8), value, 1)


# A folder of thousands of files is inspected: operation by operation, from Python, each would take 10 ms.
_ONE_FILE = (tf.TensorSpec((), tf.string),)
_traced_header_size = tf.function(_header_size, input_signature=_ONE_FILE)
_traced_orientation = tf.function(_orientation, input_signature=_ONE_FILE)


def _starts_with(encoded: tf.Tensor, signature: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(encoded, 0, len(signature)), signature)


def _code(name: bytes) -> int:
    """Four bytes as the integer that `tf.io.decode_raw` makes of them."""
    return int.from_bytes(name, "little")


def _bytes(encoded: tf.Tensor, begin: tf.Tensor | int, length: tf.Tensor | int) -> tf.Tensor:
    """Some of a string's bytes, and a zero at the end: uint8 (bytes + 1,)."""
    return tf.pad(tf.io.decode_raw(tf.strings.substr(encoded, begin, length), tf.uint8), [[0, 1]])


def _number(content: tf.Tensor, place: tf.Tensor | int, size: int, big_endian: tf.Tensor | bool) -> tf.Tensor:
    """Unsigned integers among bytes.

    Args:
        content: uint8 (bytes,); what is read beyond its end is its last byte.
        place: The position of the first byte of each; an integer or int64 of any shape.
        size: The number of bytes of each, 2 or 4.
        big_endian: Whether the first byte counts most.

    Returns:
        int64 of the places' shape.
    """
    places = tf.cast(place, tf.int64)[..., tf.newaxis] + tf.range(size, dtype=tf.int64)
    read = tf.cast(tf.gather(content, tf.minimum(places, tf.size(content, tf.int64) - 1)), tf.int64)
    weights = tf.constant([256**i for i in range(size)], tf.int64)
    return tf.reduce_sum(read * tf.where(big_endian, weights[::-1], weights), axis=-1)
