"""Decodes the part of the protocol buffer format that is needed to find the fields of a message."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MOST_FIELDS = 200_000


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: The number of the field.
        kind: VARINT, FIXED64, BYTES or FIXED32.
        value: The value of a VARINT; 0 for the other kinds.
        begin: The position in the file at which the bytes of the value begin.
        end: The position in the file at which they end.
    """

    number: int
    kind: int
    value: int
    begin: int
    end: int


class Wire:
    """Finds the fields of messages in a file, without reading their data.

    Args:
        file: The file.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = MOST_FIELDS

    def fields(self, begin: int, end: int) -> Iterator[Field]:
        """Yields the fields of the message between two positions of the file.

        Raises:
            ValueError: If there is no valid message, a field extends beyond the end of the message, or all messages
                together have more than `MOST_FIELDS` fields.
        """
        while begin < end:
            self._left -= 1
            if self._left < 0:
                raise ValueError(f"it has more than {MOST_FIELDS} fields")
            self._file.seek(begin)
            head = self._file.read(min(20, end - begin))
            key, used = varint(head)
            number, kind = key >> 3, key & 7
            value = 0
            if kind == VARINT:
                value, length = varint(head[used:])
                begin += used
            elif kind == BYTES:
                length, more = varint(head[used:])
                begin += used + more
            elif kind in (FIXED32, FIXED64):
                length = 4 if kind == FIXED32 else 8
                begin += used
            else:
                raise ValueError(f"a field of a message cannot be of kind {kind}")
            if not number or begin + length > end:
                raise ValueError(f"its field {number} is invalid or extends beyond the end of the message")
            yield Field(number, kind, value, begin, begin + length)
            begin += length

    def text(self, field: Field) -> str:
        """Returns the value of a field as text."""
        if field.kind != BYTES or field.end - field.begin > 4096:
            raise ValueError(f"its field {field.number} is not a name")
        return self._bytes(field).decode()

    def numbers(self, field: Field, most: int) -> list[int]:
        """Returns the integers in a field, which may be packed.

        Args:
            field: The field.
            most: The largest number of integers that is accepted.

        Raises:
            ValueError: If the field is not a list of integers, or may contain more than `most`.
        """
        if field.kind == VARINT:
            return [field.value]
        if field.kind != BYTES or field.end - field.begin > 10 * most:
            raise ValueError(f"its field {field.number} is not a list of numbers, or is too long")
        packed, numbers = self._bytes(field), []
        while packed:
            number, used = varint(packed)
            numbers.append(number)
            packed = packed[used:]
        return numbers

    def _bytes(self, field: Field) -> bytes:
        self._file.seek(field.begin)
        return self._file.read(field.end - field.begin)


def varint(data: bytes) -> tuple[int, int]:
    """Decodes an integer that is stored with 7 bits in each byte.

    Returns:
        The integer, and the number of bytes that it takes.

    Raises:
        ValueError: If the integer does not end within the first 10 bytes of the data.
    """
    number = 0
    for place, byte in enumerate(data[:10]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, place + 1
    raise ValueError("an integer in it does not end")
