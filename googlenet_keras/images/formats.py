"""Which files are images, by their names."""

from pathlib import Path

# What tf.io.decode_image reads.
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")


def image_files(folder: Path) -> list[Path]:
    """The image files in and below a folder, in alphabetical order; hidden files are left out.

    Args:
        folder: Where to look.
    """
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
