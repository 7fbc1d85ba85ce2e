"""Runs the trainings of a study one after the other, and compares them in a table and a picture.

Run it as ``python -m googlenet_keras.study NAME --output DIR``; the same command continues a study that was stopped.
"""

import argparse
import sys

from googlenet_keras import devices
from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.recipe_flags import add_recipe_fields, add_training_flags, recipe_changes
from googlenet_keras.commands.running import run
from googlenet_keras.studies import load_study, study_names

# The fields that can be changed, in the same way for all recipes of a study.
_FIELDS = ("epochs", "steps_per_epoch", "input_size", "batch_size", "learning_rate", "dataset", "dtype")


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.study", description=__doc__.splitlines()[0])
    add = result.add_argument
    names = ", ".join(study_names())
    add("study", choices=study_names(), metavar="NAME", help=f"name of the study, one of {names}")
    add(
        "--output",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder for the trainings, the table and the picture",
    )
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="random seeds; each entry is trained once with each of them (default: the seeds of the study)",
    )
    add("--only", nargs="+", default=[], metavar="ENTRY", help="run only these entries of the study (default: all)")
    add(
        "--train",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="train the networks; --no-train only computes their costs (default: --train)",
    )
    add_training_flags(result)
    add_recipe_fields(result, "fields of all recipes (default: the values of the study)", _FIELDS)
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_study, parser(), argv)


def _study(arguments: argparse.Namespace) -> int:
    study = load_study(arguments.study).with_fields(**recipe_changes(arguments))

    from googlenet_keras.studies.report import PICTURE_FILE, TABLE_FILE
    from googlenet_keras.studies.running import run_study
    from googlenet_keras.training import TrainingInterruptedError
    from googlenet_keras.training.reporting import default_callbacks

    strategy, where = devices.create_strategy(arguments.strategy)
    print(f"{study.question} Running on {where}", flush=True)
    try:
        results = run_study(
            study,
            arguments.output,
            seeds=arguments.seeds,
            only=arguments.only,
            train_networks=arguments.train,
            data_dir=arguments.data_dir,
            strategy=strategy,
            callbacks=default_callbacks,
            report=lambda line: print(line, flush=True),
        )
    except TrainingInterruptedError as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    done = sum(len(entry["runs"]) for entry in results["entries"])
    picture = f" and {PICTURE_FILE}" if done else ""
    print(f"Trainings done: {done}. Wrote {TABLE_FILE}{picture} to {arguments.output}")
    return 0
