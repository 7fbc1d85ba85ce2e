"""Defines the errors for files that cannot be read: one sentence, on one line, with the file's name."""

import contextlib
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

# What libraries raise over a file that is not what it says it is.
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, RuntimeError, MemoryError, OverflowError),
    *(struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError, tokenize.TokenError),
)

LONGEST_REASON = 400


class DamagedFileError(ValueError):
    """A file that is no weight file, or a damaged one."""


def damaged(path: str | Path, reason: object) -> DamagedFileError:
    """The error that says so.

    Args:
        path: The file.
        reason: The fault: a part of a sentence, or the error that a library raised.
    """
    words = " ".join(str(reason)[: 2 * LONGEST_REASON].split()) or type(reason).__name__
    # A name in the file may hold anything; what is printed is letters.
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    words = words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]}..."
    return DamagedFileError(f"Not a weight file, or a damaged one ({words}). Received: {str(path)!r}")


@contextlib.contextmanager
def refusing(path: str | Path, tensor: str | None = None) -> Iterator[None]:
    """Turns whatever the block raises over a file's content into that error.

    Args:
        path: The file.
        tensor: The tensor that is being read, if any.

    Raises:
        DamagedFileError: If the block fails.
    """
    try:
        yield
    except DamagedFileError:
        raise
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise damaged(path, reason if tensor is None else f"{tensor}: {reason}") from None
