"""Runs any command of the package, as ``googlenet_keras COMMAND`` or ``python -m googlenet_keras COMMAND``."""

import importlib
import os
import sys
from typing import NoReturn

from googlenet_keras.commands.parsing import Parser

# One line about each command, for the list that is printed; `googlenet_keras.commands` has a module for each.
COMMANDS = {
    "train": "train a network with a recipe",
    "study": "train with several recipes and seeds, and compare the results",
    "evaluate": "measure how well a trained network classifies the images of a dataset",
    "predict": "classify images",
    "explain": "draw what a trained network looks at, and what its channels respond to",
    "convert": "convert a weight file of another framework to a weight file of this package",
    "export": "write a SavedModel or files for other runtimes, with pictures of the network and a model card",
    "describe": "show the cost of a network, stage by stage, or compare networks",
    "data": "prepare a dataset, or show what a dataset contains",
    "benchmark": "compare the speed of training or inference side by side",
}


def main(argv: list[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    Args:
        argv: The name of the command and its arguments; None means the arguments of the process. If there is no name,
            the list of commands is printed.
    """
    command, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if command in ("-h", "--help"):
        print("usage: googlenet_keras COMMAND [ARGUMENTS]; COMMAND --help explains the command\n")
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
    # A normal exit takes seconds, because TensorFlow cleans up. A machine that is about to be shut down may not have
    # that much time.
    os._exit(status)


def only_as_a_command(name: str, command: str) -> None:
    """Runs a command if its module was started with ``python -m``, and raises an error if the module was imported.

    The package has functions of the same names, such as `train` and `evaluate`, which the imported module would hide.

    Args:
        name: The ``__name__`` of the module.
        command: The name of the command, which is also that of its module in `googlenet_keras.commands`.

    Raises:
        ImportError: If the module was imported, except by a process that multiprocessing started.
    """
    if name == "__main__":
        run([command, *sys.argv[1:]])
    if name != "__mp_main__":
        raise ImportError(
            f"{name} is a command: run python -m {name}, or import googlenet_keras.commands.{command}", name=name
        )


if __name__ == "__main__":
    run()
