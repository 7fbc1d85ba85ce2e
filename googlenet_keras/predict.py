"""What a trained network sees on images.

Run it as ``python -m googlenet_keras.predict SAVED_MODEL IMAGE...``, or as
``python -m googlenet_keras.predict --model googlenet_bn --weights fashion_mnist IMAGE...``.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras import commands

if TYPE_CHECKING:
    from googlenet_keras.saved_model.classifier import Classifier

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")


def parser() -> commands.Parser:
    """The command's arguments."""
    prog = "python -m googlenet_keras.predict"
    result = commands.Parser(
        prog=prog,
        usage=f"{prog} [options] SAVED_MODEL IMAGE...\n"
        f"       {prog} [options] --model NAME --weights NAME_OR_FILE IMAGE...",
        description=__doc__.splitlines()[0],
        epilog="The weights fashion_mnist of googlenet_bn know ten kinds of clothing, light on black as in their "
        "dataset: a dark shirt photographed on white fools them.",
    )
    result.add_argument(
        "paths",
        type=commands.path,
        nargs="+",
        metavar="PATH",
        help="SAVED_MODEL: folder that googlenet_keras.export made, where there is no --model; IMAGE: image file, or "
        "folder of them",
    )
    result.add_argument("--model", metavar="NAME", help="which network, in place of a SavedModel")
    result.add_argument(
        "--weights",
        metavar="NAME_OR_FILE",
        help="its weights: fashion_mnist, which comes with googlenet_bn, or a .weights.h5 or .keras file",
    )
    result.add_argument("--classes", type=int, metavar="N", help="as for googlenet_keras.export")
    result.add_argument(
        "--input-shape", type=int, nargs=3, metavar=("H", "W", "C"), help="as for googlenet_keras.export"
    )
    result.add_argument("--labels", type=commands.path, metavar="FILE", help="as for googlenet_keras.export")
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

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {arguments.top}")
    classifier, images = _classifier(arguments)
    files = list(image_files(images))
    if not files:
        places = ", ".join(map(str, images))
        raise ValueError(f"There are no image files there ({', '.join(IMAGE_SUFFIXES)}). Received: {places}")
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


def _classifier(arguments: argparse.Namespace) -> tuple["Classifier", list[Path]]:
    """What answers, and the images that it is asked about."""
    from googlenet_keras.saved_model.classifier import Classifier

    if arguments.model is None:
        for flag in ("weights", "classes", "input_shape", "labels"):
            if getattr(arguments, flag) is not None:
                raise ValueError(f"--{flag.replace('_', '-')} goes with --model NAME; a SavedModel has its own")
        folder, *images = arguments.paths
        if not images:
            raise ValueError(f"Name a SavedModel and then images, or give --model and --weights. Received: {folder}")
        return Classifier.load(folder), images
    if arguments.weights is None:
        raise ValueError("Untrained, a network only guesses: give it --weights")
    classifier = Classifier.build(
        arguments.model,
        arguments.weights,
        classes=arguments.classes,
        input_shape=arguments.input_shape and tuple(arguments.input_shape),
        labels=arguments.labels,
    )
    return classifier, arguments.paths


if __name__ == "__main__":
    sys.exit(main())
