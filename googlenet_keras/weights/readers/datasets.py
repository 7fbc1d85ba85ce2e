"""Reads an HDF5 dataset as a tensor, if the file itself contains all of its numbers.

What the HDF5 library says about a dataset is compared with the file before any memory is allocated. The numbers are
then read without the library, because its filters unpack without a limit and it returns zeros beyond the file's end.
"""

import math
import zlib

import h5py
import numpy as np
from h5py import h5d, h5s, h5t, h5z

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import (
    BFLOAT16,
    MOST_DEFLATED,
    MOST_TENSORS,
    StoredTensor,
    checked_dtype,
    checked_shape,
)

# The filters that h5py uses for compression="gzip", with and without shuffle=True.
SHUFFLE, DEFLATE = int(h5z.FILTER_SHUFFLE), int(h5z.FILTER_DEFLATE)
FILTERS: tuple[list[int], ...] = ([], [SHUFFLE], [DEFLATE], [SHUFFLE, DEFLATE])

Places = list[tuple[int, int, str]]


def stored_tensor(
    opened: OpenedFile, dataset: h5py.Dataset, name: str, places: Places, *, is_bfloat16: bool
) -> StoredTensor:
    """Returns the tensor of a dataset whose numbers are in the file, either consecutively or in chunks.

    Args:
        opened: The file.
        dataset: The dataset in the file.
        name: The name of the tensor in error messages.
        places: A list to which the positions of the tensor's bytes in the file are added as (begin, end, name).
        is_bfloat16: Whether Keras marked the dataset as bfloat16. HDF5 has no such type, so Keras writes the two bytes
            of each number as opaque data.

    Raises:
        ValueError: If the numbers are not in the file, if their size is not the one that the shape requires, or if
            their type or their compression is not supported.
    """
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        raise ValueError(f"{name}: its numbers are in another file, {properties.get_external(0)[0].decode()}")
    if dataset.id.get_space().get_simple_extent_type() == h5s.NULL:
        raise ValueError(f"{name}: the dataset contains no numbers")
    shape, dtype = checked_shape(name, map(int, dataset.id.shape)), _dtype(name, dataset, is_bfloat16)
    layout = properties.get_layout()
    if layout == h5d.CHUNKED:
        return _in_chunks(opened, dataset, name, shape, dtype, places)
    if layout not in (h5d.CONTIGUOUS, h5d.COMPACT):
        raise ValueError(f"{name}: a virtual dataset, whose numbers are in other datasets")
    size = math.prod(shape) * dtype.itemsize
    if size != dataset.id.get_storage_size():
        raise ValueError(f"{name}: {size} bytes are declared, but {dataset.id.get_storage_size()} are stored")
    if layout == h5d.COMPACT:
        if size > 2**16:  # the limit of HDF5
            raise ValueError(f"{name}: {size} bytes are declared, but a compact dataset holds at most 65,536")
        return StoredTensor(shape, dtype, lambda: dataset[()].view(dtype))
    offset = dataset.id.get_offset() or 0  # None if there are no numbers
    places.append((offset, offset + size, name))
    return opened.tensor(name, offset, shape, dtype)


def _dtype(name: str, dataset: h5py.Dataset, is_bfloat16: bool) -> np.dtype:
    stored = dataset.id.get_type()
    if is_bfloat16 and isinstance(stored, h5t.TypeOpaqueID) and stored.get_size() == 2:
        return BFLOAT16
    if not isinstance(stored, h5t.TypeIntegerID | h5t.TypeFloatID) or not h5t.py_create(dataset.dtype).equal(stored):
        raise ValueError(f"{name}: NumPy has no type for its numbers")
    return checked_dtype(name, dataset.dtype)


def _in_chunks(
    opened: OpenedFile, dataset: h5py.Dataset, name: str, shape: tuple[int, ...], dtype: np.dtype, places: Places
) -> StoredTensor:
    """Returns the tensor of a dataset that is stored in chunks, which may be compressed.

    All chunks have the same shape, so those at the edges may extend beyond the dataset.
    """
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    if filters not in FILTERS:
        raise ValueError(f"{name}: it uses a filter other than deflate and shuffle")
    chunk = properties.get_chunk()
    chunk_size = math.prod(chunk) * dtype.itemsize
    most = chunk_size if DEFLATE not in filters else opened.size * MOST_DEFLATED
    if not 0 < chunk_size <= min(most, opened.most_bytes):
        raise ValueError(f"{name}: a file of this size cannot have chunks of the shape {chunk}")
    count = math.prod(-(-extent // step) for extent, step in zip(shape, chunk, strict=True))
    found: dict[tuple[int, ...], tuple[int, int]] = {}

    def collect(piece: h5d.StoreInfo) -> None:
        place = tuple(map(int, piece.chunk_offset))
        inside = all(0 <= at < end and at % step == 0 for at, end, step in zip(place, shape, chunk, strict=True))
        packed = piece.size * MOST_DEFLATED >= chunk_size if DEFLATE in filters else piece.size == chunk_size
        if piece.filter_mask or not inside or not packed or piece.byte_offset + piece.size > opened.size:
            raise ValueError(f"{name}: its chunk at {place} has an impossible position, size or filter")
        found[place] = (piece.byte_offset, piece.size)
        places.append((piece.byte_offset, piece.byte_offset + piece.size, name))
        if len(places) > MOST_TENSORS:
            raise ValueError(f"its tensors have more than {MOST_TENSORS} chunks")

    dataset.id.chunk_iter(collect)
    if len(found) != count:
        raise ValueError(f"{name}: it must have {count} chunks, but has {len(found)}")

    def fetch() -> np.ndarray:
        array = np.empty(shape, dtype)
        for place, (offset, size) in found.items():
            opened.file.seek(offset)
            piece = np.frombuffer(_unpacked(opened.file.read(size), filters, chunk_size, dtype), dtype).reshape(chunk)
            region = tuple(slice(at, min(at + step, end)) for at, step, end in zip(place, chunk, shape, strict=True))
            array[region] = piece[tuple(slice(0, part.stop - part.start) for part in region)]
        return array

    return StoredTensor(shape, dtype, fetch)


def _unpacked(packed: bytes, filters: list[int], size: int, dtype: np.dtype) -> bytes:
    if DEFLATE in filters:
        packed = zlib.decompressobj().decompress(packed, size + 1)
    if len(packed) != size:
        raise ValueError("one of its chunks does not have the declared number of bytes")
    if SHUFFLE in filters:
        packed = np.frombuffer(packed, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    return packed
