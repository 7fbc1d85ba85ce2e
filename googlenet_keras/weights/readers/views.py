"""Defines what a pickle of PyTorch may name: storages, tensors that are views of them, and ordered dictionaries."""

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
    """A name in the pickle, such as ``torch.FloatStorage``. It is only the name, and never the object."""

    name: str


@dataclass(frozen=True)
class Storage:
    """Numbers that tensors are views of.

    Attributes:
        key: The name of the storage in the file.
        dtype: The type of the numbers.
        count: The number of elements.
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
        """The range from the view's first number to the end of its last, counted in numbers."""
        if 0 in self.shape:
            return 0
        return 1 + sum((extent - 1) * stride for extent, stride in zip(self.shape, self.strides, strict=True))


def storage(identifier: object) -> Storage:
    """Reads a PyTorch pickle's description of a storage: ("storage", type, key, device, count) and perhaps a view.

    Raises:
        ValueError: If the description has another form.
    """
    match identifier:
        case ("storage", Name(name), str(key), str(), int(count), *view) if view in ([], [None]) and count >= 0:
            module, _, kind = name.rpartition(".")
            if module in ("torch", "torch.cuda") and kind in STORAGES:
                return Storage(key, STORAGES[kind], count)
    raise ValueError("its pickle refers to something that is no storage of numbers")


def _tensor(source: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> TensorView:
    del rest  # whether the tensor needs a gradient, and its hooks
    if not isinstance(source, Storage):
        raise ValueError("a tensor of its pickle is of no storage")
    numbers = checked_shape("a tensor", (offset, *strides))
    view = TensorView(source, numbers[0], checked_shape("a tensor", shape), numbers[1:])
    if len(view.shape) != len(view.strides) or view.offset + view.span > source.count:
        raise ValueError(f"a tensor of the shape {view.shape} reaches beyond the {source.count} numbers it is of")
    if math.prod(view.shape) > source.count:
        raise ValueError(f"a tensor of the shape {view.shape} repeats the {source.count} numbers it is of")
    return view


def dictionary(pairs: Iterable[tuple[Any, Any]] = ()) -> dict[Any, Any]:
    """Creates a dictionary from pairs whose keys are strings or integers.

    Tuples are not allowed as keys. A tuple can contain another tuple twice, which contains another one twice, and so
    on; hashing or printing it would take for ever.

    Raises:
        ValueError: If a key has another type.
    """
    found = {}
    for key, value in pairs:
        if type(key) not in (str, int):
            raise ValueError(f"a dictionary of its pickle has a key of the type {type(key).__name__}")
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
