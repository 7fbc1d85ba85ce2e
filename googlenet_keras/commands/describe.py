"""Prints the cost of a model, stage by stage, or compares several models.

Run it as ``python -m googlenet_keras.describe NAME``, ``python -m googlenet_keras.describe --compare NAME...`` or
``python -m googlenet_keras.describe --weights``.
"""

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.running import run

if TYPE_CHECKING:
    from googlenet_keras.describe.tables import Column


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.describe", description=__doc__.splitlines()[0])
    what = result.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", metavar="NAME", help="name of the network")
    what.add_argument(
        "--compare", nargs="+", metavar="NAME", help="compare these networks, each with its default input shape"
    )
    what.add_argument(
        "--weights", action="store_true", help="list the published weights, which can be loaded by their names"
    )
    result.add_argument(
        "--input-shape",
        type=int,
        nargs=3,
        metavar=("H", "W", "C"),
        help="height, width and channels of the input (default: the network's own, such as 224 224 3)",
    )
    result.add_argument(
        "--classes", type=int, metavar="N", help="number of classes (default: the network's own, such as 1000)"
    )
    result.add_argument("--aux-heads", action="store_true", help="include the auxiliary classifiers")
    result.add_argument(
        "--bottlenecks", action="store_true", help="also show how many weights each 1x1 reduction saves"
    )
    result.add_argument(
        "--plot",
        type=path_argument,
        metavar="FILE",
        help="with --compare, plot the comparison to this file (.png or .svg)",
    )
    form = result.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--markdown", action="store_true", help="print Markdown instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_describe, parser(), argv, needs_tensorflow=False)


def _describe(arguments: argparse.Namespace) -> int:
    if arguments.compare:
        if arguments.input_shape or arguments.classes or arguments.aux_heads or arguments.bottlenecks:
            raise ValueError(
                "--compare shows networks with their defaults: combine it only with --plot, --json and --markdown"
            )
        return _compare(arguments)
    if arguments.weights:
        return _list_weights(arguments)
    if arguments.plot:
        raise ValueError("--plot draws a comparison: use it together with --compare")
    return _describe_one(arguments)


def _describe_one(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from googlenet_keras import describe
    from googlenet_keras.describe import tables
    from googlenet_keras.describe.notation import LEGEND
    from googlenet_keras.describe.paper import TABLES, beside_paper
    from googlenet_keras.models import create_model, model_record

    record = model_record(arguments.model)
    chosen: dict[str, object] = {**describe.head_arguments(arguments.model, arguments.aux_heads)}
    if arguments.input_shape:
        chosen["input_shape"] = tuple(arguments.input_shape)
    if arguments.classes is not None:
        chosen["classes"] = arguments.classes
    model = create_model(arguments.model, **chosen)
    cost = describe.describe_model(model, record.endpoints)
    smallest = describe.minimum_size(arguments.model, aux_heads=arguments.aux_heads)
    reductions = describe.bottlenecks(model) if arguments.bottlenecks else None
    printed = beside_paper(cost)

    if arguments.json:
        found = {**asdict(cost), "minimum_size": smallest}
        if printed:
            found["paper"] = [{**asdict(row), "disagreement": row.disagreement} for row in printed]
        if reductions is not None:
            found["bottlenecks"] = [asdict(one) for one in reductions]
        print(json.dumps(found, indent=2))
        return 0
    title = (
        f"{cost.name} at {'x'.join(map(str, cost.input_shape))}; the smallest input is {smallest}x{smallest}"
        f"{' with auxiliary heads' if arguments.aux_heads else ''}"
    )
    notes = {
        "branches": LEGEND,
        "M MACs": "millions of multiply-adds",
        "field": "height and width of the receptive field, in pixels of the input",
        "MB": "memory of the outputs of all layers for one image in float32",
    }
    _print_table(title, tables.stage_columns(cost), arguments.markdown, notes=notes, total=True)
    if printed:
        notes = {
            "K weights, M MACs": "our counts, in units of 1024 and of a million",
            "params, ops": f"Table 1 of the paper; {TABLES[cost.name].remark}",
        }
        title = "the paper's table beside our counts"
        _print_table(title, tables.paper_columns(printed), arguments.markdown, notes=notes)
    if reductions is not None:
        _print_table(
            "weights of each convolution directly on the module's input, and after its 1x1 reduction",
            tables.bottleneck_columns(reductions),
            arguments.markdown,
        )
    return 0


def _list_weights(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from googlenet_keras.describe import tables
    from googlenet_keras.weights import list_weights

    if arguments.input_shape or arguments.classes or arguments.aux_heads or arguments.bottlenecks or arguments.plot:
        raise ValueError("--weights lists all published weights: combine it only with --json and --markdown")
    found = list_weights()
    if arguments.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return 0
    notes = {
        "weights": "create_model(NETWORK, weights=NAME) and --weights NAME download them once; imagenet means the "
        "first imagenet/ weights of a network in this list",
        "top-1": "published accuracy on the validation images of ImageNet",
    }
    _print_table(None, tables.weight_columns(found), arguments.markdown, notes=notes)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from rich.console import Console

    from googlenet_keras import describe
    from googlenet_keras.describe import tables

    if arguments.plot:
        describe.check_plot_path(arguments.plot)
    with Console(stderr=True).status("building") as status:
        summaries = describe.compare(arguments.compare, report=lambda name: status.update(f"building {name}"))
    if arguments.plot:
        describe.plot_comparison(summaries, arguments.plot)
    if arguments.json:
        print(json.dumps([asdict(one) for one in summaries], indent=2))
    else:
        notes = {
            "conv, dense, norm": "shares of the parameters in convolutions, dense layers and normalization",
            "M MACs": "millions of multiply-adds",
            "depth": "convolutions and dense layers along the longest path",
            "min": "smallest height and width of the input, in pixels",
        }
        _print_table(None, tables.summary_columns(summaries), arguments.markdown, notes=notes)
    return 0


def _print_table(
    title: str | None,
    columns: "list[Column]",
    as_markdown: bool,
    *,
    notes: Mapping[str, str] | None = None,
    total: bool = False,
) -> None:
    """Prints a table, with as many columns as fit on the terminal, and notes on the columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from googlenet_keras.describe.tables import fitted, markdown

    explained = "; ".join(f"{header}: {note}" for header, note in (notes or {}).items())
    if as_markdown:
        print("\n\n".join(part for part in (title, markdown(columns), explained) if part) + "\n")
        return
    console = Console()
    shown = fitted(columns, console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for column in shown:
        table.add_column(column.header, justify="left" if column.is_text else "right", overflow="fold")
    rows = list(zip(*(column.cells for column in shown), strict=True))
    for place, row in enumerate(rows):
        # Rich would read brackets in a plain string as markup.
        table.add_row(*map(Text, row), end_section=total and place == len(rows) - 2)
    if title:
        console.print(Text(title, style="bold"))
    console.print(table)
    if len(shown) < len(columns):
        explained += ". A wider terminal, --markdown and --json show more columns"
    if explained:
        console.print(Text(f"{explained}.", style="dim"))
