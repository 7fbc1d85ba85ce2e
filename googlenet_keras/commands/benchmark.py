"""Compares the speed of training or inference side by side, in one run.

Run it as ``python -m googlenet_keras.benchmark infer``, or with ``growth``, ``train`` or ``lrn``.
"""

import argparse
import contextlib
import json
from typing import TYPE_CHECKING

from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.running import run

if TYPE_CHECKING:
    from rich.console import Console

    from googlenet_keras.benchmarks.inference import InferenceComparison


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.benchmark", description=__doc__.splitlines()[0])
    subjects = result.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    lrn = subjects.add_parser(
        "lrn", help="measure how much time each implementation of local response normalization adds to a training step"
    )
    lrn.add_argument("--dtype", default="float32", metavar="POLICY", help="Keras dtype policy (default: float32)")
    lrn.set_defaults(run=_compare_normalizations)
    train = subjects.add_parser(
        "train", help="measure the speed of training steps in float32 and bfloat16, and of large matrix products"
    )
    train.add_argument(
        "--input-size",
        type=int,
        default=96,
        metavar="N",
        help="height and width of the images, in pixels (default: 96)",
    )
    train.add_argument(
        "--peer",
        metavar="FILE",
        help="Python file whose build() returns a Keras model to compare with, from images (batch, N, N, 1) to 10 "
        "logits",
    )
    train.set_defaults(run=_compare_training)
    infer = subjects.add_parser(
        "infer", help="measure the inference speed of this package's exports, and of Keras's own export"
    )
    infer.add_argument(
        "--model",
        nargs="+",
        default=["googlenet_bn"],
        metavar="NAME",
        help="names of the networks to measure, which are untrained (default: googlenet_bn)",
    )
    infer.add_argument(
        "--artifact",
        type=path_argument,
        nargs="+",
        default=[],
        metavar="PATH",
        help="measure these artifacts of googlenet_keras.export instead of untrained networks",
    )
    infer.add_argument(
        "--batch", type=int, nargs="+", default=[1, 8, 32], metavar="N", help="batch sizes (default: 1 8 32)"
    )
    infer.add_argument(
        "--size", type=int, metavar="N", help="height and width of the images, in pixels (default: the network's own)"
    )
    infer.add_argument(
        "--precision",
        nargs="+",
        default=["float32"],
        metavar="P",
        help="precisions to export in, one or more of float32, bfloat16, int8 (default: float32)",
    )
    infer.add_argument(
        "--output", type=path_argument, metavar="DIR", help="folder for the results as JSON, Markdown and a picture"
    )
    infer.add_argument(
        "--rounds", type=int, default=7, metavar="N", help="number of timed calls of each artifact (default: 7)"
    )
    infer.set_defaults(run=_compare_inference, batch_size=1)
    growth = subjects.add_parser(
        "growth", help="measure how the inference time grows with the image size and the batch size"
    )
    growth.add_argument(
        "--model",
        nargs="+",
        default=["googlenet_bn"],
        metavar="NAME",
        help="names of the networks to measure, which are untrained (default: googlenet_bn)",
    )
    growth.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[96, 160, 224, 320, 448],
        metavar="N",
        help="image sizes, each the height and width in pixels (default: 96 160 224 320 448)",
    )
    growth.add_argument(
        "--batch", type=int, nargs="+", default=[1, 4, 16], metavar="N", help="batch sizes (default: 1 4 16)"
    )
    growth.add_argument(
        "--format",
        default="saved_model",
        metavar="FORMAT",
        help="format of the exports: saved_model, onnx, litert or openvino (default: saved_model)",
    )
    growth.add_argument(
        "--output", type=path_argument, metavar="DIR", help="folder for the results as JSON, Markdown and a picture"
    )
    growth.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="number of timed calls of each combination (default: 3)"
    )
    growth.set_defaults(run=_compare_growth, batch_size=1)
    for subject in (lrn, train):
        subject.add_argument(
            "--batch-size", type=int, default=128, metavar="N", help="number of images in a step (default: 128)"
        )
        subject.add_argument(
            "--rounds", type=int, default=15, metavar="N", help="number of timed steps of each candidate (default: 15)"
        )
    for subject in (lrn, train, infer, growth):
        subject.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_benchmark, parser(), argv)


def _benchmark(arguments: argparse.Namespace) -> int:
    if arguments.rounds < 2 or arguments.batch_size < 1:
        raise ValueError(
            f"There must be at least 2 rounds and at least 1 image in a batch. Received: {arguments.rounds} rounds, "
            f"{arguments.batch_size} images in a batch"
        )
    return arguments.run(arguments)


WIDTH = 160  # characters, if the output is not a terminal


def _console() -> "Console":
    """Returns a console, which is wide enough not to cut names if the output is not a terminal."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def _compare_inference(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console

    from googlenet_keras.benchmarks.inference import compare_inference, save_comparisons
    from googlenet_keras.files import output_folder
    from googlenet_keras.models import model_record

    if min(arguments.batch) < 1 or (arguments.size is not None and arguments.size < 1):
        size = "" if arguments.size is None else f", --size {arguments.size}"
        raise ValueError(f"--batch and --size must be at least 1. Received: --batch {arguments.batch}{size}")
    if not arguments.artifact:
        for model in arguments.model:  # reports an unknown name before anything is measured
            model_record(model)
    with output_folder(arguments.output) if arguments.output else contextlib.nullcontext():
        comparisons = []
        with Console(stderr=True).status("measuring") as status:
            for model in ["artifacts"] if arguments.artifact else dict.fromkeys(arguments.model):
                status.update(f"measuring {model}")
                comparisons.append(
                    compare_inference(
                        model,
                        artifacts=arguments.artifact,
                        batch_sizes=arguments.batch,
                        input_size=arguments.size,
                        precisions=arguments.precision,
                        rounds=arguments.rounds,
                    )
                )
        if arguments.output:
            save_comparisons(comparisons, arguments.output)
    if arguments.json:
        print(json.dumps([asdict(comparison) for comparison in comparisons], indent=2))
        return 0
    for comparison in comparisons:
        _show_inference(comparison)
    return 0


def _show_inference(comparison: "InferenceComparison") -> None:
    from rich.filesize import decimal
    from rich.table import Column, Table

    height, width, _ = comparison.input_shape
    numbers = ("batch", "images/s", "ratio", "quartiles", "of the matrix product's rate")
    table = Table(
        "artifact",
        *(Column(head, justify="right") for head in numbers),
        title=f"{comparison.model}, {height}x{width} pixels",
    )
    for speed in comparison.speeds:
        table.add_row(
            speed.artifact,
            str(speed.batch_size),
            f"{speed.images_per_second:.1f}",
            f"{speed.ratio:.2f}",
            f"{speed.lower:.2f} to {speed.upper:.2f}",
            "" if speed.share is None else f"{speed.share:.0%}",
        )
    others = Table("artifact", *(Column(head, justify="right") for head in ("first answer", "peak memory", "on disk")))
    for one in comparison.footprints:
        peak, disk = ("" if size is None else decimal(size) for size in (one.peak_memory, one.disk))
        others.add_row(one.artifact, f"{one.first_answer:.2f} s", peak, disk)
    console = _console()
    console.print(table)
    console.print(others)
    machine = ", ".join(comparison.instruction_sets) or "unknown"
    rate = comparison.matrix_product / 1e9
    console.print(f"Instruction sets: {machine}. A large matrix product: {rate:.0f} GFLOP/s in float32.")
    for name in comparison.missing:
        console.print(
            f"{name} was not measured because its packages are missing: pip install 'googlenet-keras[{name}]'",
            markup=False,
        )


def _compare_growth(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.growth import compare_growth
    from googlenet_keras.files import output_folder

    if min(arguments.batch) < 1:
        raise ValueError(f"--batch must be at least 1. Received: {arguments.batch}")
    with output_folder(arguments.output) if arguments.output else contextlib.nullcontext():
        with Console(stderr=True).status("measuring"):
            comparison = compare_growth(
                arguments.model,
                sizes=arguments.sizes,
                batch_sizes=arguments.batch,
                format_name=arguments.format,
                rounds=arguments.rounds,
            )
        if arguments.output:
            comparison.save(arguments.output)
    if arguments.json:
        print(json.dumps(asdict(comparison), indent=2))
        return 0
    sizes = sorted({point.input_size for point in comparison.growths[0].points})
    batches = sorted({point.batch_size for point in comparison.growths[0].points})
    table = Table("network", "pixels", *(Column(f"ms at batch {batch}", justify="right") for batch in batches))
    for growth in comparison.growths:
        medians = {(point.input_size, point.batch_size): point.median for point in growth.points}
        for size in sizes:
            table.add_row(growth.model, f"{size}x{size}", *(f"{medians[size, batch] * 1e3:.1f}" for batch in batches))
    console = _console()
    console.print(table)
    for growth in comparison.growths:
        line = f"{growth.call * 1e3:.1f} ms per call plus {growth.pixel * 1e9:.0f} ms per megapixel"
        console.print(f"{growth.model}: {line}; half of the measured times are within {growth.deviation:.0%} of that.")
    return 0


def _compare_normalizations(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.lrn import compare_normalizations

    with Console(stderr=True).status("measuring"):
        timings = compare_normalizations(
            batch_size=arguments.batch_size, rounds=arguments.rounds, dtype=arguments.dtype
        )
    if arguments.json:
        print(json.dumps([asdict(timing) for timing in timings], indent=2))
        return 0
    table = Table("normalization", *(Column(head, justify="right") for head in ("ms a step", "ratio", "quartiles")))
    for timing in timings:
        quartiles = f"{timing.lower:.3f} to {timing.upper:.3f}"
        table.add_row(timing.name, f"{timing.seconds * 1000:.0f}", f"{timing.ratio:.3f}", quartiles)
    _console().print(table)
    return 0


def _compare_training(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.training_speed import compare_training, load_peer

    if arguments.input_size < 1:
        raise ValueError(f"--input-size must be at least 1. Received: {arguments.input_size}")
    peer = load_peer(arguments.peer) if arguments.peer else None
    with Console(stderr=True).status("measuring"):
        comparison = compare_training(
            batch_size=arguments.batch_size, rounds=arguments.rounds, input_size=arguments.input_size, peer=peer
        )
    if arguments.json:
        print(json.dumps(asdict(comparison), indent=2))
        return 0
    numbers = ("examples/s", "ratio", "quartiles", "of the matrix product's rate")
    table = Table("model", "dtype", *(Column(head, justify="right") for head in numbers))
    for speed in comparison.training:
        table.add_row(
            speed.name,
            speed.dtype,
            f"{speed.examples_per_second:.0f}",
            f"{speed.ratio:.2f}",
            f"{speed.lower:.2f} to {speed.upper:.2f}",
            "" if speed.share is None else f"{speed.share:.0%}",
        )
    console = _console()
    console.print(table)
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in comparison.matrix_product.items())
    console.print(f"A large matrix product: {rates}.")
    return 0
