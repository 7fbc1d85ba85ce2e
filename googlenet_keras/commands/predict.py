"""Classifies images with a trained network.

Run it as ``python -m googlenet_keras.predict NETWORK IMAGE...``, where NETWORK is an artifact or a weight file, or as
``python -m googlenet_keras.predict --weights fashion_mnist IMAGE...``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras.commands.parsing import Parser, add_network_arguments, network_arguments, path_argument
from googlenet_keras.commands.running import WORK_FAILED, run

if TYPE_CHECKING:
    from googlenet_keras.deploy.classifier import Classifier


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    prog = "python -m googlenet_keras.predict"
    result = Parser(
        prog=prog,
        usage=f"{prog} [options] NETWORK IMAGE...\n       {prog} [options] --weights NAME_OR_FILE IMAGE...",
        description=__doc__.splitlines()[0],
        epilog="The weights fashion_mnist of googlenet_bn classify ten kinds of clothing. Their dataset shows light "
        "clothes on a black background, so they do not recognize a dark shirt on a white background.",
    )
    result.add_argument(
        "paths",
        type=path_argument,
        nargs="+",
        metavar="PATH",
        help="NETWORK: an artifact of googlenet_keras.export (the folder of a SavedModel, or an .onnx, .tflite or .xml "
        "file) or a weight file, needed unless --weights is given; IMAGE: an image file, or a folder of image files",
    )
    result.add_argument(
        "--model", metavar="NAME", help="name of the network, needed if the weight file does not contain it"
    )
    result.add_argument(
        "--weights",
        metavar="NAME_OR_FILE",
        help="a .weights.h5 or .keras file, or the name of published weights, such as fashion_mnist, which comes with "
        "the package",
    )
    add_network_arguments(result)
    result.add_argument(
        "--top", type=int, default=5, metavar="K", help="number of classes to list for each image (default: 5)"
    )
    result.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_predict, parser(), argv)


def _predict(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.images.formats import named_images

    if arguments.top < 1:
        raise ValueError(f"--top must be at least 1. Received: {arguments.top}")
    classifier, images = _classifier(arguments)
    files = named_images(images)
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
    return 0 if len(answers) == len(files) else WORK_FAILED


def _classifier(arguments: argparse.Namespace) -> tuple["Classifier", list[Path]]:
    """Returns the classifier, and the images to classify."""
    from googlenet_keras.deploy.classifier import Classifier
    from googlenet_keras.weights.readers import SUFFIXES

    network, images = arguments.weights, arguments.paths
    if network is None:
        network, images = str(arguments.paths[0]), arguments.paths[1:]
    elif (arguments.paths[0] / "saved_model.pb").exists():
        raise ValueError(f"Give a SavedModel or --weights, not both. Received: {arguments.paths[0]} and {network}")
    if not images:
        raise ValueError(f"Name a SavedModel or a weight file, and then images. Received: {network}")
    told = network_arguments(arguments)
    if arguments.weights is None and not network.endswith(SUFFIXES):
        for flag, value in {"model": arguments.model, **told}.items():
            if value is not None:
                raise ValueError(
                    f"--{flag.replace('_', '-')} can be given only with a weight file; an exported network has its own"
                )
        return Classifier.load(network), images
    return Classifier.build(arguments.model, network, **told), images
