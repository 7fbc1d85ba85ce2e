"""Unpacks the archives in which TF-slim's checkpoints are published."""

import gzip
import re
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO

from googlenet_keras.weights.readers.opened import Bounded, OpenedFile, copy_bounded
from googlenet_keras.weights.readers.tensorflow import DATA_SUFFIX

GZIP = b"\x1f\x8b"


def is_tarball(start: bytes) -> bool:
    """Returns whether a file that begins like this is compressed by gzip, or is a tar archive."""
    return start.startswith(GZIP) or start[257:262] == b"ustar"


def unpacked_checkpoint(opened: OpenedFile) -> Path:
    """Unpacks the checkpoint of an archive into a temporary folder.

    Args:
        opened: A ``.tar.gz`` or ``.tar`` file with one checkpoint. Other files in it are not unpacked.

    Returns:
        The index file of the checkpoint, or the checkpoint itself if it is a single file.

    Raises:
        ValueError: If a member of the archive is not a plain file or lies outside of the archive, if the members unpack
            to too much, or if the archive does not contain exactly one checkpoint.
    """
    folder = opened.folder()
    opened.file.seek(0)
    is_packed = opened.file.read(2) == GZIP
    opened.file.seek(0)
    source: IO[bytes] = gzip.GzipFile(fileobj=opened.file) if is_packed else opened.file  # type: ignore[assignment]
    bounded = Bounded(source, opened.most_bytes)
    with tarfile.open(fileobj=bounded, mode="r|") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse() or path.is_absolute() or ".." in path.parts:
                raise ValueError(f"the archive's member {member.name} is not a plain file inside the archive")
            if re.search(rf"\.ckpt(-\d+)?(\.index|{DATA_SUFFIX})?$", path.name):
                with (folder / path.name).open("xb") as target:
                    copy_bounded(archive.extractfile(member), target, opened.most_bytes)  # type: ignore[arg-type]
    found = [file for file in folder.iterdir() if not re.search(rf"{DATA_SUFFIX}$", file.name)]
    if len(found) != 1:
        raise ValueError(f"the archive must contain one checkpoint (*.ckpt), but it contains {len(found)}")
    return found[0]
