"""What a SavedModel sees on images.

Run it as ``python -m googlenet_keras.predict SAVED_MODEL IMAGE...``.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from googlenet_keras import commands

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")


def parser() -> commands.Parser:
    """The command's arguments."""
    result = commands.Parser(prog="python -m googlenet_keras.predict", description=__doc__.splitlines()[0])
    result.add_argument("saved_model", type=Path, metavar="SAVED_MODEL", help="folder that googlenet_keras.export made")
    result.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image file, or folder of them")
    result.add_argument("--top", type=int, default=5, metavar="K", help="how many classes to name (default: 5)")
    result.add_argument("--json", action="store_true", help="JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return commands.run(_predict, parser(), argv)


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among ``paths``, and the image files in and below the folders among them, in alphabetical order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        else:
            yield path


def _predict(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.saved_model.classifier import Classifier

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {arguments.top}")
    classifier = Classifier(arguments.saved_model)
    files = list(image_files(arguments.images))
    if not files:
        raise ValueError(f"There are no image files there ({', '.join(IMAGE_SUFFIXES)}). Received: {arguments.images}")
    answers = {}
    for file in files:
        try:
            answers[file] = classifier.classify(file.read_bytes(), top=arguments.top)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"{file}: {reason}", file=sys.stderr)

    if arguments.json:
        found = [{"image": str(file), "predictions": [asdict(one) for one in best]} for file, best in answers.items()]
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif answers:
        table = Table(Column("image", overflow="fold"), Column("probability", justify="right"), "class")
        for file, best in answers.items():
            for place, one in enumerate(best):
                table.add_row("" if place else str(file), f"{one.probability:.2%}", one.label)
            table.add_section()
        Console().print(table)
    return 0 if len(answers) == len(files) else commands.WORK_FAILED


if __name__ == "__main__":
    sys.exit(main())
