"""Comparisons of speed, side by side in one run.

Run it as ``python -m googlenet_keras.benchmark lrn`` or ``... benchmark train``.
"""

import argparse
import json

from googlenet_keras.commands.parsing import Parser
from googlenet_keras.commands.running import run


def parser() -> Parser:
    """The command's arguments."""
    result = Parser(prog="python -m googlenet_keras.benchmark", description=__doc__.splitlines()[0])
    subjects = result.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    lrn = subjects.add_parser(
        "lrn", help="what local response normalization adds to a training step, by how it is done"
    )
    lrn.add_argument("--dtype", default="float32", metavar="POLICY", help="Keras dtype policy (default: float32)")
    lrn.set_defaults(run=_compare_normalizations)
    train = subjects.add_parser("train", help="training steps in float32 and bfloat16, beside the machine's own rate")
    train.add_argument("--input-size", type=int, default=96, metavar="N", help="pixels (default: 96)")
    train.add_argument(
        "--peer",
        metavar="FILE",
        help="Python file whose build() returns a Keras model of (batch, N, N, 1) to 10 logits: the baseline",
    )
    train.set_defaults(run=_compare_training)
    for subject in (lrn, train):
        subject.add_argument("--batch-size", type=int, default=128, metavar="N", help="images in a step (default: 128)")
        subject.add_argument("--rounds", type=int, default=15, metavar="N", help="steps timed of each (default: 15)")
        subject.add_argument("--json", action="store_true", help="JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_benchmark, parser(), argv)


def _benchmark(arguments: argparse.Namespace) -> int:
    if arguments.rounds < 2 or arguments.batch_size < 1:
        raise ValueError(
            f"There must be 2 rounds or more, of an image or more. Received: {arguments.rounds}, {arguments.batch_size}"
        )
    return arguments.run(arguments)


def _compare_normalizations(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.lrn import compare_normalizations

    with Console(stderr=True).status("taking turns"):
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
    Console().print(table)
    return 0


def _compare_training(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.training_speed import compare_training, load_peer

    if arguments.input_size < 1:
        raise ValueError(f"An image has a pixel or more. Received: --input-size {arguments.input_size}")
    peer = load_peer(arguments.peer) if arguments.peer else None
    with Console(stderr=True).status("taking turns"):
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
    console = Console()
    console.print(table)
    rates = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {dtype}" for dtype, rate in comparison.matrix_product.items())
    console.print(f"A large matrix product: {rates}.")
    return 0
