"""Defines the result of every reader: tensors whose shapes are known before their numbers are read."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

# Deflate gives no more than 258 bytes for 2 bits; see zlib's "maximum compression factor".
MOST_DEFLATED = 1032

# Inception-ResNet-v2, the largest here, has 900 tensors; the parts of a file that name them are this large at most.
MOST_TENSORS = 50_000
MOST_NAMING_BYTES = 4 * 2**20


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in an open file.

    Attributes:
        shape: Its extents.
        dtype: The type of its numbers in the file.
        fetch: Reads it as it is stored.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fetch: Callable[[], np.ndarray] = field(repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes that it takes as it is stored."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> np.ndarray:
        """Its numbers: float32 for floating types, whole numbers as they are, in C's order and this machine's.

        Raises:
            DamagedFileError: If the file turns out to be damaged.
        """
        dtype = np.dtype(np.float32) if is_floating(self.dtype) else self.dtype.newbyteorder("=")
        with np.errstate(over="ignore"):  # a float64 beyond float32 is infinity, which is refused by name
            return np.asarray(self.fetch(), dtype, order="C")


@dataclass(frozen=True)
class WeightFile:
    """An open weight file.

    Attributes:
        format: One of `FORMATS`.
        tensors: The tensors by their names in the file; see `open_weights`.
    """

    format: str
    tensors: Mapping[str, StoredTensor]


def is_floating(dtype: np.dtype) -> bool:
    """True if a type is a floating-point type, including bfloat16."""
    return dtype.kind == "f" or dtype == BFLOAT16


def checked_dtype(name: str, dtype: np.dtype) -> np.dtype:
    """The type, if it is one of numbers.

    Raises:
        ValueError: If it is not.
    """
    if dtype.kind not in "fiub" and dtype != BFLOAT16:
        raise ValueError(f"{name}: tensors are of numbers, and this is of {dtype}")
    return dtype


def checked_shape(name: str, shape: Iterable[Any]) -> tuple[int, ...]:
    """The shape, if an array can have it.

    Raises:
        ValueError: If it cannot.
    """
    shape = tuple(shape)
    if len(shape) > 32 or not all(type(extent) is int and 0 <= extent < 2**62 for extent in shape):
        raise ValueError(f"{name}: its shape is none that a tensor has")
    return shape


def refuse_overlaps(places: Iterable[tuple[int, int, str]]) -> None:
    """Tensors have bytes of their own: one whose place is wrong reaches into another.

    Args:
        places: Begin, end and name of each.

    Raises:
        ValueError: If two have bytes in common.
    """
    ordered = sorted(place for place in places if place[0] < place[1])
    for (_, end, name), (begin, _, other) in itertools.pairwise(ordered):
        if begin < end:
            raise ValueError(f"{other}: its numbers are in part those of {name}")
