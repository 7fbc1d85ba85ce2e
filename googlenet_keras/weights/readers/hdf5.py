"""Reads HDF5 files with the features that Keras uses.

These are groups and datasets, each with a single path, and attributes with text. Soft and external links are rejected.
"""

from collections.abc import Iterator
from typing import TypeAlias

import h5py
from h5py import h5a, h5l, h5o, h5t

from googlenet_keras.weights.readers.datasets import stored_tensor
from googlenet_keras.weights.readers.heaps import refuse_endless_heaps
from googlenet_keras.weights.readers.opened import OpenedFile
from googlenet_keras.weights.readers.stored import MOST_NAMING_BYTES, MOST_TENSORS, StoredTensor, refuse_overlaps

SIGNATURE = b"\x89HDF\r\n\x1a\n"

Item: TypeAlias = h5py.Group | h5py.Dataset


class HDF5File:
    """An HDF5 file that contains no soft or external links.

    Args:
        opened: The file.

    Attributes:
        root: The root group.

    Raises:
        OSError: If the file is not an HDF5 file.
        ValueError: If the file has a layout that Keras does not write, or would make the HDF5 library loop forever.
    """

    def __init__(self, opened: OpenedFile) -> None:
        self._opened = opened
        self.root = opened.resources.enter_context(h5py.File(opened.path, "r", locking=False))
        if self.root.userblock_size or self.root.id.get_create_plist().get_sizes() != (8, 8):
            raise ValueError(
                "it has an HDF5 user block, or addresses or lengths that do not have 8 bytes, but Keras writes neither"
            )
        refuse_endless_heaps(opened)
        self._seen = {self._address(self.root): ""}
        self._places: list[tuple[int, int, str]] = []

    def items(self, group: h5py.Group) -> Iterator[tuple[str, Item]]:
        """Yields the names and the members of a group.

        Raises:
            ValueError: If a member is a soft or external link, is neither a group nor a dataset, or has two paths, or
                if there are more than `MOST_TENSORS` members.
        """
        names: list[bytes] = []

        def collect(name: bytes) -> None:
            names.append(name)
            if len(names) > MOST_TENSORS:
                raise ValueError(f"it has more than {MOST_TENSORS} groups and tensors")

        group.id.links.iterate(collect)
        for name in names:
            yield name.decode(), self._child(group, name)

    def datasets(self, group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yields all datasets below a group, each after its path relative to the group.

        Raises:
            ValueError: See `items`.
        """
        waiting = [("", group)]
        while waiting:
            path, above = waiting.pop()
            for name, item in self.items(above):
                if isinstance(item, h5py.Dataset):
                    yield f"{path}{name}", item
                else:
                    waiting.append((f"{path}{name}/", item))

    def _child(self, group: h5py.Group, name: bytes) -> Item:
        path = f"{self._seen[self._address(group)]}/{name.decode()}".lstrip("/")
        if group.id.links.get_info(name).type != h5l.TYPE_HARD:
            raise ValueError(f"{path}: a soft or external link, which Keras does not write")
        identifier = h5o.open(group.id, name)
        if not isinstance(identifier, h5py.h5g.GroupID | h5py.h5d.DatasetID):
            raise ValueError(f"{path}: it is neither a group nor a tensor")
        item = (h5py.Group if isinstance(identifier, h5py.h5g.GroupID) else h5py.Dataset)(identifier)
        # A circular link leads to an item that was already found under another name.
        if self._seen.setdefault(self._address(item), path) != path:
            raise ValueError(f"{path}: it is /{self._seen[self._address(item)]} under another name")
        if len(self._seen) > MOST_TENSORS:
            raise ValueError(f"it has more than {MOST_TENSORS} groups and tensors")
        return item

    @staticmethod
    def _address(item: Item) -> int:
        return int(h5o.get_info(item.id).addr)

    def text(self, item: Item, name: str) -> str | None:
        """Returns an attribute that is a single string, or None if there is no such attribute."""
        if not h5a.exists(item.id, name.encode()):
            return None
        attribute = h5a.open(item.id, name.encode())
        # Lists of strings are not accepted, because all of their elements could refer to the same long text, and would
        # then take far more memory than the file.
        if attribute.shape != () or not isinstance(attribute.get_type(), h5t.TypeStringID):
            raise ValueError(f"{item.name}: its attribute {name} is not a single string")
        if attribute.get_type().get_size() > min(self._opened.size, MOST_NAMING_BYTES):
            raise ValueError(f"{item.name}: its attribute {name} declares a text that is too long")
        word = item.attrs[name]
        return word.decode() if isinstance(word, bytes) else str(word)

    def tensor(self, dataset: h5py.Dataset) -> StoredTensor:
        """Returns the tensor of a dataset.

        Raises:
            ValueError: See `stored_tensor`.
        """
        name = self._seen[self._address(dataset)]
        is_bfloat16 = self.text(dataset, "dtype") == "bfloat16"
        return stored_tensor(self._opened, dataset, name, self._places, is_bfloat16=is_bfloat16)

    def refuse_overlaps(self) -> None:
        """Checks that no two of the tensors returned so far share bytes of the file.

        Call it after the last tensor.

        Raises:
            ValueError: If two tensors share bytes.
        """
        refuse_overlaps(self._places)
