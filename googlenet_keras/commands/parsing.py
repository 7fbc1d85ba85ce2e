"""Defines the argument parser that all commands share, and the flags that several of them have."""

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

WRONG_USE = 2


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line, with a suggestion, and exits with status 2.

    Flags must be written out, because an abbreviation that works today becomes ambiguous, or gets another meaning, when
    a flag is added. The error for an abbreviation names the flags that begin with it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parses as argparse does, but reports unknown flags before arguments that may be missing because of them."""
        args = sys.argv[1:] if args is None else list(args)
        # The parser of the subcommand checks the flags that follow the subcommand.
        if self._subparsers is None:
            unknown = self._unknown_flags(args)
            if unknown:
                self.error(f"unrecognized arguments: {', '.join(unknown)}")
        return super().parse_known_args(args, namespace)

    def _unknown_flags(self, args: Sequence[str]) -> list[str]:
        """Returns the flags that the parser does not know, each with a suggestion if a known flag is similar."""
        known = [flag for action in self._actions for flag in action.option_strings]
        unknown = []
        for argument in args:
            flag = argument.partition("=")[0]
            if argument == "--" or flag in ("-h", "--help"):
                break
            # A negative number is a value, and argparse also reads an argument with a space as a value.
            if re.match(r"--?[A-Za-z]", flag) and " " not in flag and flag not in known:
                beginning = [one for one in known if flag.startswith("--") and one.startswith(flag)]
                unknown.append(flag + _suggestion(flag, known, beginning))
        return unknown

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Checks the value as argparse does, and also suggests the most similar choice."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _suggestion(str(value), map(str, action.choices or ()))
            raise

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Prints the help as argparse does, but raises an error if the output is closed."""
        print(self.format_help(), end="", file=file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the command after flushing what it has printed, such as the help."""
        print(end="", flush=True)
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """Prints what was wrong and ends the command."""
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see --help)\n")


def _suggestion(received: str, known: Iterable[str], near: Sequence[str] = ()) -> str:
    near = near or difflib.get_close_matches(received, list(known), n=1)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def path_argument(text: str) -> Path:
    """Converts an argument to a path, as an argparse ``type``.

    An empty text is an error, because it usually comes from a variable that is not set and does not mean the working
    folder.

    Args:
        text: The argument.

    Raises:
        argparse.ArgumentTypeError: If the text is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; for the working folder, give '.'. Received: ''")
    return Path(text)


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds the flag for the folder of the datasets.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--data-dir",
        type=path_argument,
        metavar="DIR",
        help="folder that holds the data of TensorFlow Datasets (default: TFDS_DATA_DIR or ~/tensorflow_datasets)",
    )


def add_max_bad(parser: argparse.ArgumentParser) -> None:
    """Adds the flag for the largest number of broken images that are skipped.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--max-bad",
        type=int,
        default=10,
        metavar="N",
        help="skip broken images of a folder:PATH dataset, but fail if there are more than this number (default: 10)",
    )


def add_network_arguments(parser: Parser) -> None:
    """Adds the flags for properties of a network that its weight file may not contain.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="number of classes, if the weight file does not contain it (default: the network's own)",
    )
    parser.add_argument(
        "--input-shape",
        type=int,
        nargs=3,
        metavar=("H", "W", "C"),
        help="height, width and channels of the input, if the weight file does not contain them (default: the "
        "network's own)",
    )
    parser.add_argument(
        "--labels",
        type=path_argument,
        metavar="FILE",
        help="text file of class names, one per line (default: those of the weights, or the network's own)",
    )


def network_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the flags of `add_network_arguments` as keyword arguments of `find_network` and similar functions.

    Args:
        arguments: The parsed arguments.
    """
    return {
        "classes": arguments.classes,
        "input_shape": arguments.input_shape and tuple(arguments.input_shape),
        "labels": arguments.labels,
    }
