"""Converts a weight file of another framework to a weight file of this package.

Run it as ``python -m googlenet_keras.convert FILE --model NAME --output FILE.weights.h5``.
"""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.running import run

if TYPE_CHECKING:
    from googlenet_keras.weights.conversion import Conversion


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.convert", description=__doc__.splitlines()[0])
    result.add_argument("file", type=path_argument, metavar="FILE", help="the weight file to convert")
    result.add_argument("--model", required=True, metavar="NAME", help="name of the network that the weights belong to")
    result.add_argument(
        "--output",
        required=True,
        type=path_argument,
        metavar="FILE.weights.h5",
        help="the weight file to write; an existing file is replaced",
    )
    result.add_argument(
        "--source",
        metavar="NAME",
        help="the framework that named the tensors: caffe, facenet, keras, keras_applications, slim, timm or "
        "torchvision (default: recognized by the names of the tensors)",
    )
    result.add_argument(
        "--preprocessing",
        metavar="NAME",
        help="the preprocessing that the weights expect: minus_one_to_one, zero_to_one, standardized_rgb, "
        "mean_subtracted_rgb, mean_subtracted_bgr or mean_subtracted_bgr_vgg (default: the usual one of the source)",
    )
    result.add_argument(
        "--labels",
        type=path_argument,
        metavar="FILE",
        help="text file of class names, one per line (default: the network's own)",
    )
    result.add_argument(
        "--input-shape",
        type=int,
        nargs=3,
        metavar=("H", "W", "C"),
        help="height, width and channels of the images that the weights were trained on (default: the network's own, "
        "such as 224 224 3)",
    )
    result.add_argument(
        "--check",
        type=path_argument,
        metavar="IMAGE",
        help="classify this image file with the converted weights, as a check",
    )
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_convert, parser(), argv)


def _convert(arguments: argparse.Namespace) -> int:
    from googlenet_keras.models.trained import read_labels
    from googlenet_keras.progress import status
    from googlenet_keras.weights.conversion import convert_weights

    image = None if arguments.check is None else arguments.check.read_bytes()
    labels = None if arguments.labels is None else read_labels(arguments.labels)
    with status(f"reading {arguments.file.name}"):
        conversion = convert_weights(
            arguments.file,
            arguments.output,
            arguments.model,
            source=arguments.source,
            preprocessing=arguments.preprocessing,
            labels=labels,
            input_shape=arguments.input_shape and tuple(arguments.input_shape),
        )
    _print_tensors(conversion, arguments.file)
    _print_card(conversion)
    if image is not None:
        _print_answer(arguments.output, image)
    return 0


def _print_tensors(conversion: "Conversion", file: Path) -> None:
    """Prints the tensors that went into each stage of the network, and the tensors that were left out, as a table."""
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(
        Column("stage", overflow="fold"),
        Column("layers", justify="right"),
        Column("tensors", justify="right"),
        Column(f"in {file.name}", overflow="fold"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
    for row in conversion.stages():
        table.add_row(row.name, str(row.layers), str(len(row.tensors)), Text(_span(row.tensors)))
    for why, tensors in conversion.loading.left_out.items():
        table.add_row(Text(f"left out: {why}"), "", str(len(tensors)), Text(_span(tensors)))
    Console().print(table)


def _span(tensors: tuple[str, ...]) -> str:
    """Returns the common beginning of the tensors' names, or the first and the last name if they have none."""
    common = os.path.commonprefix(tensors)  # noqa: RUF071 - by characters, because the names are not paths
    if len(tensors) == 1:
        return common
    return f"{common}*" if common else f"{tensors[0]} ... {tensors[-1]}"


def _print_card(conversion: "Conversion") -> None:
    from rich.filesize import decimal

    card, published = conversion.card, conversion.published
    height, width, channels = card.input_shape
    what = (
        f"{card.classes} classes, {card.labels[0]} to {card.labels[-1]}" if card.labels else "a network without its top"
    )
    size = decimal(conversion.path.stat().st_size)
    print(f"{conversion.path} ({size}): {card.model}, converted from {conversion.loading.source}; {what}")
    expected = card.preprocessing
    print(
        f"Its input is {height}x{width}x{channels}, {expected.channels}, (pixels - {_numbers(expected.mean)}) * "
        f"{_numbers(expected.scale)}, of the central {expected.crop_fraction:.1%} of an image"
    )
    if published is not None:
        accuracy = f", top-1 {published.top1:.2%}" if published.top1 else ""
        print(f"It is the file published as {published.url} ({published.licence}{accuracy})")


def _numbers(values: float | tuple[float, ...]) -> str:
    values = values if isinstance(values, tuple) else (values,)
    different = [f"{value:.6g}" for value in dict.fromkeys(values)]
    return different[0] if len(different) == 1 else f"[{', '.join(different)}]"


def _print_answer(file: Path, image: bytes) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.deploy.classifier import Classifier

    table = Table(Column("probability", justify="right"), "class")
    for one in Classifier.build(weights=file).classify(image):
        table.add_row(f"{one.probability:.2%}", one.label)
    Console().print(table)
