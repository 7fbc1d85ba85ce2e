"""Reads zip archives after checking what they declare about their members."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from googlenet_keras.weights.readers.opened import OpenedFile, copy_bounded, read_array
from googlenet_keras.weights.readers.stored import MOST_DEFLATED, MOST_NAMING_BYTES

# The last record of an archive begins with these bytes. It consists of 22 bytes and a comment of at most 65,535 bytes.
_END = b"PK\x05\x06"
_ENCRYPTED = 1


class Archive:
    """A zip file, whose members are accessed by name.

    Args:
        opened: The file.

    Attributes:
        members: The entry of each member in the archive's directory, by the name of the member.

    Raises:
        ValueError: If the archive has too many members, if two members have the same name, if a member is encrypted or
            compressed by another method than deflate, or if it declares more bytes than the file can contain.
    """

    def __init__(self, opened: OpenedFile) -> None:
        opened.file.seek(max(0, opened.size - 65_557))
        end = opened.file.read()
        place = end.rfind(_END)
        if place >= 0 and MOST_NAMING_BYTES < int.from_bytes(end[place + 12 : place + 16], "little") < 2**32 - 1:
            raise ValueError("its list of members is too long for a weight file")
        self._opened = opened
        self._zip = opened.resources.enter_context(zipfile.ZipFile(opened.file))
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename
            if name in self.members:
                raise ValueError(f"two members have the name {name}")
            if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"the member {name} is encrypted, or compressed with a method other than deflate")
            most = member.compress_size * (MOST_DEFLATED if member.compress_type == zipfile.ZIP_DEFLATED else 1)
            if member.compress_size > opened.size or member.file_size > most:
                raise ValueError(f"the member {name} declares more bytes than the file can hold")
            self.members[name] = member

    def read(self, name: str, most: int = MOST_NAMING_BYTES) -> bytes:
        """Reads a small member completely.

        Args:
            name: The name of the member.
            most: The largest number of bytes that is accepted.

        Raises:
            ValueError: If the member has more than `most` bytes.
            KeyError: If there is no such member.
        """
        if self.members[name].file_size > most:
            raise ValueError(f"the member {name} is too large")
        return self._zip.read(name)

    def start(self, name: str, count: int) -> bytes:
        """Reads the first `count` bytes of a member, or all of them if it has fewer."""
        with self._zip.open(name) as stream:
            return stream.read(count)

    def array(self, name: str, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> Callable[[], np.ndarray]:
        """Returns a function that reads an array from a member, starting at the byte `offset`."""

        def fetch() -> np.ndarray:
            with self._zip.open(name) as stream:
                stream.seek(offset, os.SEEK_SET)
                return read_array(stream, shape, dtype)

        return fetch

    def unpacked(self, name: str) -> Path:
        """Unpacks a member into a temporary file and returns its path."""
        path = self._opened.folder() / "member"
        with self._zip.open(name) as source, path.open("wb") as target:
            copy_bounded(source, target, self._opened.most_bytes)
        return path
