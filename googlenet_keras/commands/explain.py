"""Draws what a trained network looks at in images, and what its channels and classes respond to.

Run it as ``python -m googlenet_keras.explain WEIGHT_FILE IMAGE... --output DIR``, or as
``python -m googlenet_keras.explain --weights fashion_mnist IMAGE... --output DIR``.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras.commands.parsing import Parser, add_network_arguments, network_arguments, path_argument
from googlenet_keras.commands.running import WORK_FAILED, run

if TYPE_CHECKING:
    import numpy as np

    from googlenet_keras.explain import Subject, Target


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    prog = "python -m googlenet_keras.explain"
    result = Parser(
        prog=prog,
        usage=f"{prog} [options] WEIGHT_FILE [IMAGE...] --output DIR\n"
        f"       {prog} [options] --weights NAME_OR_FILE [IMAGE...] --output DIR",
        description=__doc__.splitlines()[0],
        epilog="For each image, a picture shows by Grad-CAM and SmoothGrad where the network "
        "sees the most probable classes.",
    )
    result.add_argument(
        "paths",
        type=path_argument,
        nargs="*",
        metavar="PATH",
        help="WEIGHT_FILE: a .weights.h5 or .keras file, needed unless --weights is given; IMAGE: an image file, or a "
        "folder of image files",
    )
    result.add_argument(
        "--model", metavar="NAME", help="name of the network, needed if the weight file does not contain it"
    )
    result.add_argument(
        "--weights",
        metavar="NAME_OR_FILE",
        help="a weight file, or the name of published weights, such as fashion_mnist, which comes with the package",
    )
    add_network_arguments(result)
    result.add_argument(
        "--top", type=int, default=3, metavar="K", help="number of classes to draw for each image (default: 3)"
    )
    result.add_argument(
        "--layer", metavar="LAYER", help="layer whose feature maps Grad-CAM uses (default: the last one)"
    )
    result.add_argument(
        "--module", metavar="MODULE", help="also draw how each branch of this module, such as inception_4c, responds"
    )
    result.add_argument(
        "--dream",
        metavar="LAYER",
        help="also draw each image changed so that this layer responds more strongly (DeepDream)",
    )
    result.add_argument("--filters", action="store_true", help="also draw the filters of the first layer")
    result.add_argument(
        "--visualize",
        action="append",
        default=[],
        metavar="LAYER:CHANNEL_OR_CLASS",
        help="also generate an image that a channel (such as inception_4c:12) or a class (by its name or number) "
        "responds to most strongly; may be given several times",
    )
    result.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="number of optimization steps (default: 256 for --visualize, 64 for --dream)",
    )
    result.add_argument("--output", type=path_argument, required=True, metavar="DIR", help="folder for the pictures")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_explain, parser(), argv)


def _explain(arguments: argparse.Namespace) -> int:
    from googlenet_keras.explain import branches, find_target
    from googlenet_keras.files import output_folder

    for flag, value in (("--top", arguments.top), ("--steps", arguments.steps)):
        if value is not None and value < 1:
            raise ValueError(f"{flag} must be at least 1. Received: {value}")
    subject, files = _subject(arguments)
    if not files and not arguments.filters and not arguments.visualize:
        raise ValueError("There is nothing to draw: give images, --filters or --visualize. Received: none of them")
    if not files and (arguments.module or arguments.dream or arguments.layer):
        raise ValueError("--module, --dream and --layer need an image. Received: no image")
    # A misspelt name is reported before the work begins.
    targets = [find_target(subject, text) for text in arguments.visualize]
    for layer in (arguments.layer, arguments.dream):
        if layer:
            subject.maps(layer)
    if arguments.module:
        branches.find_module(subject, arguments.module)

    failed = False
    drawn: Counter[str] = Counter()
    with output_folder(arguments.output):
        _draw_network(subject, targets, arguments)
        for file in files:
            try:
                image = subject.read(file)
            except (OSError, ValueError) as error:
                print(f"{file}: {error.strerror if isinstance(error, OSError) else error}", file=sys.stderr)
                failed = True
            else:
                # Files of the same name, from several folders, must not overwrite each other's pictures.
                drawn[file.stem] += 1
                name = file.stem if drawn[file.stem] == 1 else f"{file.stem}_{drawn[file.stem]}"
                _draw_image(subject, image, name, arguments)
    return WORK_FAILED if failed else 0


def _draw_network(subject: "Subject", targets: Sequence["Target"], arguments: argparse.Namespace) -> None:
    """Draws the pictures that need no image."""
    from googlenet_keras import explain
    from googlenet_keras.explain.visualization import STEPS

    if arguments.filters:
        path = arguments.output / "filters.png"
        explain.plot_filters(subject, path)
        print(path)
    for target in targets:
        made = explain.visualize(subject, target, steps=arguments.steps or STEPS)
        path = arguments.output / f"visualize_{_file_name(target.name)}.png"
        explain.plot_images([made], [target.name], path)
        print(path)


def _draw_image(subject: "Subject", image: "np.ndarray", name: str, arguments: argparse.Namespace) -> None:
    """Draws the pictures of one image."""
    from googlenet_keras import explain
    from googlenet_keras.explain.visualization import DREAM_STEPS

    path = arguments.output / f"{name}_classes.png"
    explain.plot_classes(subject, image, subject.classify(image, top=arguments.top), path, layer=arguments.layer)
    print(path)
    if arguments.module:
        path = arguments.output / f"{name}_{_file_name(arguments.module)}.png"
        responses = explain.branch_responses(subject, image, arguments.module)
        explain.plot_branches(image, arguments.module, responses, path)
        print(path)
    if arguments.dream:
        made = explain.dream(subject, image, arguments.dream, steps=arguments.steps or DREAM_STEPS)
        path = arguments.output / f"{name}_dream_{_file_name(arguments.dream)}.png"
        explain.plot_images([image, made], [name, f"dreamed by {arguments.dream}"], path)
        print(path)


def _file_name(text: str) -> str:
    """Returns a text in a form that can be part of a file name."""
    return re.sub(r"[^\w.-]+", "_", text)


def _subject(arguments: argparse.Namespace) -> tuple["Subject", list[Path]]:
    """Returns the network to explain, and the image files."""
    from googlenet_keras.deploy.runtimes import is_artifact
    from googlenet_keras.explain import Subject
    from googlenet_keras.images.formats import named_images
    from googlenet_keras.weights.readers import SUFFIXES

    network, images = arguments.weights, arguments.paths
    if network is None:
        if not images:
            raise ValueError("Give a weight file as the first path, or with --weights. Received: neither")
        network, images = str(images[0]), images[1:]
    if is_artifact(network):
        raise ValueError(
            "An exported network provides neither gradients nor feature maps: give the weight file that it was made "
            f"of. Received: {network}"
        )
    if arguments.weights is None and not network.endswith(SUFFIXES):
        raise ValueError(
            f"The first path must be a weight file ({', '.join(SUFFIXES)}), unless --weights is given. "
            f"Received: {network}"
        )
    files = named_images(images) if images else []
    return Subject.build(arguments.model, network, **network_arguments(arguments)), files
