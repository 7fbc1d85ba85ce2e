"""Defines what a pickle of PyTorch may contain: storages, tensors that are views of them, and ordered dictionaries."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from googlenet_keras.weights.readers.stored import BFLOAT16, checked_shape

STORAGES = {
    **{"DoubleStorage": np.dtype("f8"), "FloatStorage": np.dtype("f4"), "HalfStorage": np.dtype("f2")},
    **{"LongStorage": np.dtype("i8"), "IntStorage": np.dtype("i4"), "ShortStorage": np.dtype("i2")},
    **{"CharStorage": np.dtype("i1"), "ByteStorage": np.dtype("u1"), "BoolStorage": np.dtype("?")},
    "BFloat16Storage": BFLOAT16,
}


@dataclass(frozen=True)
class Name:
    """A name in a pickle, such as ``torch.FloatStorage``. The object with this name is never loaded."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A sequence of numbers that tensors are views of.

    Attributes:
        key: The name of the storage in the file.
        dtype: The type of the numbers.
        count: The number of numbers.
    """

    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class TensorView:
    """A tensor as a pickle describes it.

    Attributes:
        storage: The storage that holds its numbers.
        offset: The index of its first number in the storage.
        shape: The shape of the tensor.
        strides: The distance to the next number along each dimension, counted in numbers.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def span(self) -> int:
        """The distance from the first number of the view to the end of the last one, counted in numbers."""
        if 0 in self.shape:
            return 0
        return 1 + sum((extent - 1) * stride for extent, stride in zip(self.shape, self.strides, strict=True))


def storage(identifier: object) -> Storage:
    """Creates a storage from its description in a pickle.

    Args:
        identifier: ``("storage", type, key, device, count)``, which may be followed by None.

    Raises:
        ValueError: If the description has another form, or the type is unknown.
    """
    match identifier:
        case ("storage", Name(name), str(key), str(), int(count), *view) if view in ([], [None]) and count >= 0:
            module, _, kind = name.rpartition(".")
            if module in ("torch", "torch.cuda") and kind in STORAGES:
                return Storage(key, STORAGES[kind], count)
    raise ValueError("its pickle refers to something that is not a storage of numbers")


def _tensor(source: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> TensorView:
    del rest  # these tell whether the tensor requires a gradient, and which hooks it has
    if not isinstance(source, Storage):
        raise ValueError("a tensor of its pickle has no storage")
    numbers = checked_shape("a tensor", (offset, *strides))
    view = TensorView(source, numbers[0], checked_shape("a tensor", shape), numbers[1:])
    if len(view.shape) != len(view.strides) or view.offset + view.span > source.count:
        raise ValueError(f"a tensor of the shape {view.shape} extends beyond the {source.count} numbers of its storage")
    if math.prod(view.shape) > source.count:
        raise ValueError(f"a tensor of the shape {view.shape} has more than the {source.count} numbers of its storage")
    return view


def dictionary(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    """Creates a dictionary from pairs whose keys are strings or integers.

    Tuples are not allowed as keys, because a tuple can contain another tuple twice, which contains another one twice,
    and so on. Hashing or printing such a tuple would take forever.

    Raises:
        ValueError: If a key has another type.
    """
    found = {}
    for key, value in pairs:
        if type(key) not in (str, int):
            raise ValueError(
                f"a dictionary in its pickle has a {type(key).__name__} as a key, not a string or an integer"
            )
        found[key] = value
    return found


def _parameter(tensor: Any, *rest: Any) -> Any:
    del rest
    return tensor


CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": dictionary,
    "torch.Size": tuple,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
}
