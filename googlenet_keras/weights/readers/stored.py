"""Defines the result of every reader: tensors whose shapes are known before their numbers are read."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# Deflate expands 2 bits to at most 258 bytes; see "maximum compression factor" in zlib's technical details.
MOST_DEFLATED = 1032

# Limits for the number of tensors in a file (Inception-ResNet v2 has the most of the networks here, 900), and for the
# number of bytes of the parts of a file that contain the names.
MOST_TENSORS = 50_000
MOST_NAMING_BYTES = 4 * 2**20


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in an open file.

    Attributes:
        shape: The shape of the tensor.
        dtype: The type of its numbers in the file.
        fetch: A function that reads the tensor as it is stored.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fetch: Callable[[], np.ndarray] = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """The number of bytes of the tensor as it is stored."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """Reads the tensor in C order and native byte order; floating-point numbers are converted to float32.

        Raises:
            DamagedFileError: If the file turns out to be damaged.
        """
        dtype = np.dtype(np.float32) if is_floating(self.dtype) else self.dtype.newbyteorder("=")
        # A float64 outside the range of float32 becomes infinity, which is rejected later.
        with np.errstate(over="ignore"):
            return np.asarray(self.fetch(), dtype, order="C")


@dataclass(frozen=True)
class WeightFile:
    """An open weight file.

    Attributes:
        format: The format, a key of `FORMATS`.
        tensors: The tensors by their names in the file; see `open_weights`.
    """

    format: str
    tensors: Mapping[str, StoredTensor]


def is_floating(dtype: np.dtype) -> bool:
    """Returns whether a type is a floating-point type, including bfloat16."""
    return dtype.kind == "f" or dtype == BFLOAT16


def checked_dtype(name: str, dtype: np.dtype) -> np.dtype:
    """Returns the type after checking that it is a type of numbers.

    Raises:
        ValueError: If it is not a type of numbers.
    """
    if dtype.kind not in "fiub" and dtype != BFLOAT16:
        raise ValueError(f"{name}: a tensor must contain numbers, and this one contains {dtype}")
    return dtype


def checked_shape(name: str, shape: Iterable[Any]) -> tuple[int, ...]:
    """Returns the shape after checking that an array can have it.

    Raises:
        ValueError: If no array can have the shape.
    """
    shape = tuple(shape)
    if len(shape) > 32 or not all(type(extent) is int and 0 <= extent < 2**62 for extent in shape):
        raise ValueError(f"{name}: its shape is invalid")
    return shape


def refuse_overlaps(places: Iterable[tuple[int, int, str]]) -> None:
    """Checks that no two tensors share bytes, because a tensor with a wrong position would overlap another.

    Args:
        places: The beginning, the end and the name of each tensor.

    Raises:
        ValueError: If two tensors share bytes.
    """
    ordered = sorted(place for place in places if place[0] < place[1])
    for (_, end, name), (begin, _, other) in itertools.pairwise(ordered):
        if begin < end:
            raise ValueError(f"{other}: it shares bytes with {name}")
