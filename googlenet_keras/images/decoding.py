"""From the bytes of an image file to pixels: upright as its EXIF orientation says, and never larger than a limit."""

from collections.abc import Callable

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
        return _finish(image, _orientation(encoded), channels)


def decode_box(encoded: tf.Tensor, channels: int, box: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Decodes a part of an image file; of a JPEG file the rest is not decoded.

    Args:
        encoded: Scalar string, the file's bytes.
        channels: 1 or 3.
        box: From the upright image's height and width to int32 (4,): top, left, height and width of the part.

    Returns:
        uint8 (height, width, channels): that part of what `decode_image` returns, but for the colours that a JPEG file
        keeps in half resolution, which are interpolated otherwise at the part's borders.

    Raises:
        tf.errors.InvalidArgumentError: See `decode_image`.
    """

    def jpeg() -> tf.Tensor:
        height, width = _header_size(encoded)
        orientation = _orientation(encoded)
        transposed, upside_down, mirrored = _turns(orientation)
        upright = tf.where(transposed, (width, height), (height, width))
        top, left, rows, columns = tf.unstack(box(upright[0], upright[1]))
        top = tf.where(upside_down, upright[0] - top - rows, top)
        left = tf.where(mirrored, upright[1] - left - columns, left)
        stored = tf.where(transposed, (left, top, columns, rows), (top, left, rows, columns))
        with tf.control_dependencies([_assert_size(height, width)]):
            part = tf.io.decode_and_crop_jpeg(encoded, stored, channels=3)
        return _finish(part, orientation, channels)

    def other() -> tf.Tensor:
        image = decode_image(encoded, channels)
        top, left, rows, columns = tf.unstack(box(*tf.unstack(tf.shape(image)[:2])))
        return image[top : top + rows, left : left + columns]

    image = tf.cond(tf.io.is_jpeg(encoded), jpeg, other)
    image.set_shape((None, None, channels))
    return image


def inspect_image(encoded: bytes) -> tuple[int, int, bool]:
    """Looks at every byte of an image file, in less time and memory than decoding it takes.

    Args:
        encoded: The file's bytes.

    Returns:
        Height and width of the upright image in pixels, and whether the file keeps it in grey.

    Raises:
        ValueError: If `decode_image` would refuse it; the message says why.
    """
    try:
        height, width = _header_size(encoded)
        _assert_size(height, width)
        if tf.io.is_jpeg(encoded):
            channels = tf.io.extract_jpeg_shape(encoded)[2]
            # An eighth of the pixels in each direction, three times as fast.
            tf.io.decode_jpeg(encoded, channels=3, ratio=8)
        else:
            height, width, channels = tf.unstack(tf.shape(tf.io.decode_image(encoded, expand_animations=False)))
            _assert_size(height, width)
        if _turns(_orientation(encoded))[0]:
            height, width = width, height
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(refusal(error)) from None
    # A grey file may have a second channel, of transparency.
    return int(height), int(width), int(channels) <= 2


def refusal(error: Exception) -> str:
    """Why an image was refused, in words for its owner.

    Args:
        error: What `decode_image`, or a graph that holds it, raised.
    """
    if _TOO_LARGE in str(error):
        return _TOO_LARGE
    return "not an image that can be read (JPEG, PNG, GIF, BMP, WebP), or a damaged one"


def _header_size(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width in pixels as the file's first bytes say, int32.

    They are 0 for BMP, which cannot claim more than it holds, and for WebP, which has at most thrice `MOST_PIXELS`.
    """

    def starts_with(signature: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(encoded, 0, len(signature)), signature)

    def numbers(first: int, size: int, little_endian: bool) -> Callable[[], tf.Tensor]:
        """Two unsigned integers of ``size`` bytes, width first."""

        def read() -> tf.Tensor:
            end = first + 2 * size
            head = tf.io.decode_raw(tf.strings.substr(encoded, 0, end), tf.uint8)
            head = tf.cast(tf.pad(head, [[0, end - tf.size(head)]]), tf.int64)
            places = range(size) if little_endian else reversed(range(size))
            weights = tf.constant([256**place for place in places], tf.int64)
            pair = tf.reduce_sum(tf.reshape(head[first:], (2, size)) * weights, axis=1)
            return tf.cast(tf.minimum(tf.reverse(pair, [0]), tf.int32.max), tf.int32)

        return read

    size = tf.case(
        [
            (starts_with(b"\xff\xd8\xff"), lambda: tf.io.extract_jpeg_shape(encoded)[:2]),
            (starts_with(b"\x89PNG"), numbers(16, 4, little_endian=False)),
            (starts_with(b"GIF8"), numbers(6, 2, little_endian=True)),
        ],
        default=lambda: tf.zeros(2, tf.int32),
    )
    return size[0], size[1]


def _assert_size(height: tf.Tensor, width: tf.Tensor) -> tf.Operation | None:
    pixels = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    return tf.debugging.Assert(pixels <= MOST_PIXELS, [_TOO_LARGE, height, width])


def _finish(stored: tf.Tensor, orientation: tf.Tensor, channels: int) -> tf.Tensor:
    """Turns RGB pixels upright and makes them grey if need be: uint8 (height, width, channels)."""
    transposed, upside_down, mirrored = _turns(orientation)
    image = tf.cond(transposed, lambda: tf.transpose(stored, (1, 0, 2)), lambda: stored)
    image = tf.cond(upside_down, lambda: tf.reverse(image, (0,)), lambda: image)
    image = tf.cond(mirrored, lambda: tf.reverse(image, (1,)), lambda: image)
    image.set_shape((None, None, 3))
    return tf.image.rgb_to_grayscale(image) if channels == 1 else image


def _turns(orientation: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What makes stored pixels upright: whether to transpose, then to reverse the rows, then the columns.

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


def _orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG or PNG file, int32 in 1 to 8; 1 where there is none."""
    head = tf.io.decode_raw(tf.strings.substr(encoded, 0, _EXIF_BEGINS_WITHIN), tf.uint8)
    start = tf.cond(tf.io.is_jpeg(encoded), lambda: _behind(head, b"Exif\0\0"), lambda: _behind(head, b"eXIf"))
    return tf.cond(
        start < 0,
        lambda: tf.constant(1),
        lambda: _orientation_of_tiff(tf.io.decode_raw(tf.strings.substr(encoded, start, _LONGEST_EXIF), tf.uint8)),
    )


def _behind(head: tf.Tensor, pattern: bytes) -> tf.Tensor:
    """Where the bytes after the first occurrence of a pattern begin, int32; -1 if it does not occur."""
    count = tf.maximum(tf.size(head) - len(pattern) + 1, 0)
    same = [head[place : place + count] == byte for place, byte in enumerate(pattern)]
    found = tf.cast(tf.where(tf.reduce_all(tf.stack(same), axis=0))[:, 0], tf.int32)
    return tf.concat([found + len(pattern), [-1]], axis=0)[0]


def _orientation_of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """The tag Orientation of a TIFF structure's first directory, as EXIF has one (TIFF 6.0, section 2)."""
    tiff = tf.cast(tf.pad(tiff, [[0, 8]]), tf.int64)
    big_endian = tiff[0] == ord("M")

    def number(place: tf.Tensor | int, size: int) -> tf.Tensor:
        """Unsigned integers of 2 or 4 bytes at places that may be beyond the end, int64."""
        place = tf.cast(place, tf.int64)[..., tf.newaxis] + tf.range(size, dtype=tf.int64)
        read = tf.gather(tiff, tf.minimum(place, tf.size(tiff, tf.int64) - 1))
        read = tf.cond(big_endian, lambda: tf.reverse(read, [-1]), lambda: read)
        return tf.reduce_sum(read * tf.constant([256**i for i in range(size)], tf.int64), axis=-1)

    directory = number(4, 4)
    tags = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), _MOST_TAGS))
    values = tf.boolean_mask(number(tags + 8, 2), number(tags, 2) == _ORIENTATION_TAG)
    value = tf.cast(tf.concat([values, [1]], axis=0)[0], tf.int32)
    return tf.where((value >= 1) & (value <= 8), value, 1)
