"""Reads NumPy's ``.npz`` archives."""

import io

from numpy.lib import format as npy

from googlenet_keras.weights.readers.archives import Archive
from googlenet_keras.weights.readers.stored import StoredTensor, checked_dtype, checked_shape

# The magic string, the version and the length of the header take up to 12 bytes. NumPy accepts no header that is longer
# than 10,000 bytes from an untrusted file.
_MOST_HEADER = 12 + 10_000


def read_npz(archive: Archive) -> dict[str, StoredTensor]:
    """Reads the arrays in a file of `numpy.savez`, compressed or not. Pickled objects are rejected.

    Args:
        archive: The file.

    Returns:
        The tensors, with the names that `numpy.load` gives them.

    Raises:
        ValueError: If a member is not an array of numbers.
    """
    return {name.removesuffix(".npy"): _array(archive, name) for name in archive.members}


def _array(archive: Archive, member: str) -> StoredTensor:
    name = member.removesuffix(".npy")
    header = io.BytesIO(archive.start(member, _MOST_HEADER))
    version = npy.read_magic(header)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(
            f"{name}: its version of the NPY format is {version}, but arrays of numbers have version 1.0 or 2.0"
        )
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    declared, is_fortran, dtype = read_header(header)
    shape, dtype = checked_shape(name, declared), checked_dtype(name, dtype)
    on_disk = shape[::-1] if is_fortran else shape
    fetch = archive.array(member, header.tell(), on_disk, dtype)
    stored = StoredTensor(shape, dtype, (lambda: fetch().T) if is_fortran else fetch)
    if stored.size != archive.members[member].file_size - header.tell():
        raise ValueError(f"{name}: {stored.size} bytes are declared, but the member has a different size")
    return stored
