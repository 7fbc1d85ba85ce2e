"""Defines the error for files that cannot be read; its message is one sentence on one line and names the file."""

import contextlib
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

# The exceptions that libraries raise for files with invalid content.
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, MemoryError, OverflowError),
    *(struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError, tokenize.TokenError),
)

LONGEST_REASON = 400


class DamagedFileError(ValueError):
    """Raised if a file is not a weight file, or is damaged."""


def damaged(path: str | Path, reason: object) -> DamagedFileError:
    """Creates the error for a file that is not a weight file, or is damaged.

    Args:
        path: The path of the file.
        reason: What is wrong, as part of a sentence or as the exception that a library raised.
    """
    words = " ".join(str(reason)[: 2 * LONGEST_REASON].split()) or type(reason).__name__
    # Names in a file may contain any characters, but only printable ones are shown.
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    words = words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."
    return DamagedFileError(f"Not a weight file, or a damaged one ({words}). Received: {str(path)!r}")


@contextlib.contextmanager
def refusing(path: str | Path, tensor: str | None = None) -> Iterator[None]:
    """Converts the exceptions that the content of a file causes in a ``with`` block to a `DamagedFileError`.

    Args:
        path: The path of the file.
        tensor: The tensor that is being read, if any.

    Raises:
        DamagedFileError: If the block raises one of the exceptions in `UNREADABLE`.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise damaged(path, reason if tensor is None else f"{tensor}: {reason}") from None
