"""All commands of the package by one name: ``googlenet_keras COMMAND`` and ``python -m googlenet_keras COMMAND``."""

import importlib
import os
import sys
from typing import NoReturn

from googlenet_keras.commands.parsing import Parser

# What each does, in a line; `googlenet_keras.commands` has a module for each.
COMMANDS = {
    "train": "train a network by a recipe",
    "study": "train by several recipes and seeds, and compare them",
    "evaluate": "measure how well a trained network classifies the images of a dataset",
    "predict": "classify images",
    "explain": "draw what a trained network looks at, and what its channels respond to",
    "convert": "convert another framework's weight file into one of this package",
    "export": "write a SavedModel, the pictures of the network and its card",
    "describe": "count what a network costs, stage by stage, or compare networks",
    "data": "prepare a dataset, or show what is in one",
    "benchmark": "compare the speed of training or inference side by side",
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    Args:
        argv: The command's name and its arguments; None is those of the process. Without a name the commands are
            printed, in a line each.
    """
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print("usage: googlenet_keras COMMAND [ARGUMENTS]; COMMAND --help explains one\n")
        print("\n".join(f"  {name:10} {what}" for name, what in COMMANDS.items()))
        return 0
    names = Parser(prog="googlenet_keras", add_help=False)
    names.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = names.parse_args([command]).command
    return importlib.import_module(f"googlenet_keras.commands.{name}").main(arguments)


def run(argv: list[str] | None = None) -> NoReturn:
    """Runs a command and ends the process; see `main`."""
    status = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow takes seconds to take itself apart, which a machine that is about to be shut down may not have.
    os._exit(status)


def only_as_a_command(name: str, command: str) -> None:
    """Runs a command whose module is run by ``python -m``, and refuses to have it imported.

    The package has functions of the same names, `train` and `evaluate`, which the imported module would hide.

    Args:
        name: The module's ``__name__``.
        command: The module of the command.

    Raises:
        ImportError: If the module is not run but imported, other than by a process that multiprocessing starts.
    """
    if name == "__main__":
        run([command, *sys.argv[1:]])
    if name != "__mp_main__":
        raise ImportError(
            f"{name} is a command: run python -m {name}, or import googlenet_keras.commands.{command}", name=name
        )


if __name__ == "__main__":
    run()
