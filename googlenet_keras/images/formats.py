"""Recognizes image files by their names."""

from collections.abc import Sequence
from pathlib import Path

# What tf.io.decode_image reads.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def image_files(folder: Path) -> list[Path]:
    """The image files in and below a folder, in alphabetical order; hidden files are left out.

    Args:
        folder: The folder to search.
    """
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def named_images(paths: Sequence[Path]) -> list[Path]:
    """The image files that a command was given: files as they are, and what is in and below folders.

    Args:
        paths: Files and folders.

    Raises:
        ValueError: If there are none.
    """
    files = [file for path in paths for file in (image_files(path) if path.is_dir() else [path])]
    if not files:
        places = ", ".join(map(str, paths))
        raise ValueError(f"There are no image files there ({', '.join(SUFFIXES)}). Received: {places}")
    return files
