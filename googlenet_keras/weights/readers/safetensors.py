"""Reads safetensors files, which consist of 8 bytes with the length of a JSON header, the header, and the numbers.

The safetensors library is not used because it cannot read bfloat16 into NumPy.
"""

import json
from typing import Any

import numpy as np

from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import BFLOAT16, MOST_NAMING_BYTES, StoredTensor, checked_shape

DTYPES = {
    **{"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": BFLOAT16},
    **{"I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1")},
    **{"U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1")},
    "BOOL": np.dtype("?"),
}


def is_safetensors(start: bytes, size: int) -> bool:
    """Returns whether a file that begins like this is a safetensors file."""
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def read_safetensors(opened: OpenedFile) -> dict[str, StoredTensor]:
    """Reads the tensors of a file.

    Args:
        opened: The file.

    Raises:
        ValueError: If the header is invalid, or the tensors overlap or do not fill the file.
    """
    opened.file.seek(0)
    length = int.from_bytes(opened.file.read(8), "little")
    if length > MOST_NAMING_BYTES:
        raise ValueError(f"its header is too long, with {length} bytes")
    header = json.loads(opened.file.read(length), object_pairs_hook=_without_repeats)
    header.pop("__metadata__", None)
    tensors, places = {}, []
    for name, entry in header.items():
        begin, end = checked_shape(name, entry["data_offsets"])
        dtype = DTYPES.get(entry["dtype"])
        if dtype is None:
            raise ValueError(f"{name}: numbers of the type {entry['dtype']} are not supported")
        tensors[name] = opened.tensor(name, 8 + length + begin, checked_shape(name, entry["shape"]), dtype)
        if tensors[name].size != end - begin:
            raise ValueError(f"{name}: its shape needs {tensors[name].size} bytes, but it has {end - begin}")
        places.append((begin, end))
    ends = [0, *(end for _, end in sorted(places))]
    if ends != [*(begin for begin, _ in sorted(places)), opened.size - 8 - length]:
        raise ValueError("its tensors overlap or do not fill the file")
    return tensors


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name appears twice in its header")
    return found
