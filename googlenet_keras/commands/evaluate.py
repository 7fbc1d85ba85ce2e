"""Measures how well a trained model classifies the images of a dataset.

Run it as ``python -m googlenet_keras.evaluate --weights FILE...``.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from googlenet_keras import progress
from googlenet_keras.commands.parsing import Parser, add_data_dir, add_max_bad, path_argument
from googlenet_keras.commands.running import run

if TYPE_CHECKING:
    from rich.table import Table

    from googlenet_keras.evaluation import Evaluation

# The largest number of classes in the table. If there are more, it shows those with the lowest F1.
MOST_ROWS = 50


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.evaluate", description=__doc__.splitlines()[0])
    result.add_argument(
        "--model", metavar="NAME", help="name of the network (default: the one that the weight file names)"
    )
    result.add_argument(
        "--weights",
        required=True,
        nargs="+",
        metavar="NAME_OR_FILE",
        help="a .weights.h5 or .keras file, an artifact of googlenet_keras.export, or the name of published weights, "
        "such as fashion_mnist, which comes with the package; the probabilities of several are averaged",
    )
    result.add_argument(
        "--dataset",
        metavar="NAME",
        help="a name in TensorFlow Datasets, or folder:PATH for a folder of images (default: the dataset that the "
        "weights were trained on)",
    )
    add_data_dir(result)
    result.add_argument(
        "--split",
        help="split of the dataset, such as test or train[90%%:] (default: the training's validation split, or test)",
    )
    result.add_argument(
        "--batch-size", type=int, default=128, metavar="N", help="number of crops in a batch (default: 128)"
    )
    result.add_argument(
        "--input-size",
        type=int,
        metavar="N",
        help="height and width of the input, in pixels (default: the size that the weights were trained at)",
    )
    result.add_argument(
        "--dtype",
        metavar="POLICY",
        help="Keras dtype policy, such as mixed_bfloat16, or auto to choose it by the hardware (default: Keras's "
        "global policy)",
    )
    result.add_argument(
        "--crops",
        type=int,
        default=1,
        metavar="N",
        help="number of crops of each image: 1, 10, or 144 as in the GoogLeNet paper (default: 1)",
    )
    result.add_argument(
        "--output",
        type=path_argument,
        default=Path("evaluation"),
        metavar="DIR",
        help="folder for evaluation.json and confusion.png (default: evaluation)",
    )
    add_max_bad(result)
    result.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_evaluate, parser(), argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    from googlenet_keras.files import output_folder

    with output_folder(arguments.output):
        return _evaluate_into_folder(arguments)


def _evaluate_into_folder(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.text import Text

    from googlenet_keras.evaluation import evaluate

    with progress.status("opening the data and the model") as update:
        evaluation = evaluate(
            arguments.model,
            arguments.weights,
            dataset=arguments.dataset,
            data_dir=arguments.data_dir,
            split=arguments.split,
            batch_size=arguments.batch_size,
            input_size=arguments.input_size,
            dtype=arguments.dtype,
            crops=arguments.crops,
            max_bad=arguments.max_bad,
            report=lambda done, steps: update(f"evaluated {done} of {steps} batches"),
        )
    for file, reason in evaluation.skipped.items():
        print(f"{file}: {reason}; left out", file=sys.stderr)
    # The results are saved even if printing fails, for example because of a full disk or a closed pipe.
    try:
        if arguments.json:
            print(json.dumps(evaluation.as_dict(), indent=2, ensure_ascii=False))
        else:
            console = Console()
            console.print(_table(evaluation))
            console.print(Text(_summary(evaluation)))
    finally:
        evaluation.save(arguments.output)
    return 0


def _table(evaluation: "Evaluation") -> "Table":
    """Returns a table of the classes, with at most `MOST_ROWS` rows."""
    from rich import box
    from rich.table import Column, Table
    from rich.text import Text

    classes = evaluation.scores.classes
    title = f"{evaluation.model} on {evaluation.dataset}, {evaluation.split}"
    if len(classes) > MOST_ROWS:
        classes = tuple(sorted(classes, key=lambda one: one.f1 or 0)[:MOST_ROWS])
        title += f"; the {MOST_ROWS} classes with the lowest F1, evaluation.json has all of them"
    numbers = [Column(header, justify="right") for header in ("examples", "precision", "recall", "F1")]
    table = Table(Column("class", overflow="fold"), *numbers, title=Text(title), box=box.SIMPLE_HEAD)
    for one in classes:
        parts = ["-" if part is None else f"{part:.2%}" for part in (one.precision, one.recall, one.f1)]
        # Rich would read brackets in a plain string as markup.
        table.add_row(Text(one.label), f"{one.examples:,}", *parts)
    return table


def _summary(evaluation: "Evaluation") -> str:
    scores = evaluation.scores
    models = f"{len(evaluation.weights)} weight file{'s' if len(evaluation.weights) > 1 else ''}"
    crops = f"{evaluation.crops} crop{'s' if evaluation.crops > 1 else ''}"
    return (
        f"top-1 {scores.top1:.2%}, top-5 {scores.top5:.2%} of {scores.examples:,} examples; {models}, {crops} of "
        f"{evaluation.input_size}x{evaluation.input_size} pixels, {evaluation.dtype}"
    )
