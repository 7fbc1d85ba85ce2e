"""Runs the trainings of a study one after the other, and compares them in a table and a picture.

Run it as ``python -m googlenet_keras.study NAME --output DIR``; the same command goes on where it was stopped.
"""

import argparse
import sys

from googlenet_keras import devices
from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.running import run
from googlenet_keras.studies import load_study, study_names
from googlenet_keras.studies.report import PICTURE_FILE, TABLE_FILE

# Fields of all recipes that are flags: type, what stands for it in the help, and what it is.
_FIELDS = {
    "epochs": (int, "N", "passes over the training split"),
    "steps_per_epoch": (int, "N", "steps of an epoch"),
    "input_size": (int, "N", "height and width of the networks' input, in pixels"),
    "batch_size": (int, "N", "examples in a step"),
    "learning_rate": (float, "X", "the highest that the schedule reaches"),
    "dataset": (str, "NAME", "TensorFlow Datasets name, or folder:PATH"),
    "dtype": (str, "NAME", "Keras dtype policy"),
}


def parser() -> Parser:
    """The command's arguments."""
    result = Parser(prog="python -m googlenet_keras.study", description=__doc__.splitlines()[0])
    add = result.add_argument
    names = ", ".join(study_names())
    add("study", choices=study_names(), metavar="NAME", help=f"which study: one of {names}")
    add("--output", type=path_argument, required=True, metavar="DIR", help="folder of the trainings and the table")
    add("--seeds", type=int, nargs="+", default=[], metavar="N", help="of the trainings (default: the study's)")
    add("--only", nargs="+", default=[], metavar="ENTRY", help="run these entries alone (default: all)")
    add("--train", action=argparse.BooleanOptionalAction, default=True, help="or only tell what the networks cost")
    add("--data-dir", type=path_argument, metavar="DIR", help="where TensorFlow Datasets keeps its data")
    add("--strategy", default="auto", choices=devices.STRATEGIES, metavar="NAME", help="as of googlenet_keras.train")
    fields = result.add_argument_group("fields of all recipes (default: the study's)")
    for name, (kind, shown, what) in _FIELDS.items():
        flag = f"--{name.replace('_', '-')}"
        fields.add_argument(flag, type=kind, default=argparse.SUPPRESS, metavar=shown, help=what)
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_study, parser(), argv)


def _study(arguments: argparse.Namespace) -> int:
    changes = {name: getattr(arguments, name) for name in _FIELDS if name in arguments}
    study = load_study(arguments.study).with_fields(**changes)

    from googlenet_keras.studies.running import run_study
    from googlenet_keras.training import TrainingInterruptedError
    from googlenet_keras.training.reporting import default_callbacks

    strategy, where = devices.create_strategy(arguments.strategy)
    print(f"{study.question} On {where}", flush=True)
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
    print(f"{done} trainings are done; {TABLE_FILE}{picture} are in {arguments.output}")
    return 0
