"""Comparisons of speed, side by side in one run.

Run it as ``python -m googlenet_keras.benchmark lrn``.
"""

import argparse
import json
import sys

from googlenet_keras import commands


def parser() -> commands.Parser:
    """The command's arguments."""
    result = commands.Parser(prog="python -m googlenet_keras.benchmark", description=__doc__.splitlines()[0])
    subjects = result.add_subparsers(dest="subject", required=True, metavar="SUBJECT")
    lrn = subjects.add_parser(
        "lrn", help="what local response normalization adds to a training step, by how it is done"
    )
    lrn.add_argument("--batch-size", type=int, default=128, metavar="N", help="images in a step (default: 128)")
    lrn.add_argument("--rounds", type=int, default=15, metavar="N", help="steps timed of each (default: 15)")
    lrn.add_argument("--dtype", default="float32", metavar="POLICY", help="Keras dtype policy (default: float32)")
    lrn.add_argument("--json", action="store_true", help="JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return commands.run(_benchmark, parser(), argv)


def _benchmark(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Column, Table

    from googlenet_keras.benchmarks.lrn import compare_normalizations

    if arguments.rounds < 2 or arguments.batch_size < 1:
        raise ValueError(
            f"There must be 2 rounds or more, of an image or more. Received: {arguments.rounds}, {arguments.batch_size}"
        )
    with Console(stderr=True).status("taking turns"):
        timings = compare_normalizations(
            batch_size=arguments.batch_size, rounds=arguments.rounds, dtype=arguments.dtype
        )
    if arguments.json:
        print(json.dumps([asdict(timing) for timing in timings], indent=2))
        return 0
    right = {"justify": "right"}
    table = Table("normalization", Column("ms a step", **right), Column("ratio", **right), Column("quartiles", **right))
    for timing in timings:
        quartiles = f"{timing.lower:.3f} to {timing.upper:.3f}"
        table.add_row(timing.name, f"{timing.seconds * 1000:.0f}", f"{timing.ratio:.3f}", quartiles)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
