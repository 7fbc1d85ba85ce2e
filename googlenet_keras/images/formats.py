"""Finds image files by the suffixes of their names."""

from collections.abc import Sequence
from pathlib import Path

# The formats that tf.io.decode_image reads.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def image_files(folder: Path) -> list[Path]:
    """Returns the image files in a folder and its subfolders, in alphabetical order, without hidden files.

    Args:
        folder: The folder to search.
    """
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )


def named_images(paths: Sequence[Path]) -> list[Path]:
    """Returns the image files that the arguments of a command name.

    A file is returned as it is, and a folder is replaced by the image files in it and its subfolders.

    Args:
        paths: Files and folders.

    Raises:
        ValueError: If there are no image files.
    """
    files = [file for path in paths for file in (image_files(path) if path.is_dir() else [path])]
    if not files:
        places = ", ".join(map(str, paths))
        raise ValueError(
            f"No image files were found ({', '.join(SUFFIXES)}); give other files or folders. Received: {places}"
        )
    return files
