"""All commands of the package by one name: ``googlenet_keras COMMAND`` and ``python -m googlenet_keras COMMAND``."""

import importlib
import os
import sys

from googlenet_keras import commands

# What each does, in a line; `googlenet_keras.COMMAND` is its module, or the package whose __main__ it is.
COMMANDS = {
    "train": "train a network by a recipe",
    "evaluate": "measure how well a trained network names the images of a dataset",
    "predict": "name what is on images",
    "export": "write a SavedModel, the pictures of the network and its card",
    "describe": "count what a network costs, stage by stage, or compare networks",
    "data": "prepare a dataset, or show what is in one",
    "benchmark": "compare the speed of training steps side by side",
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
    names = commands.Parser(prog="googlenet_keras", add_help=False)
    names.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    name = names.parse_args([command]).command
    home = f"googlenet_keras.{name}"
    module = importlib.import_module(f"{home}.__main__" if name in ("data", "describe") else home)
    return module.main(arguments)


def run() -> None:
    """Runs a command and ends the process."""
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow takes seconds to take itself apart, which a machine that is about to be shut down may not have.
    os._exit(status)


if __name__ == "__main__":
    run()
