"""The parser that all commands share."""

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
    """An argument parser whose errors are one line, exit status 2, and name what may have been meant.

    Flags must be written out: an abbreviation that is accepted today is ambiguous, or means something else, once there
    is another flag. The error names the flags that begin so.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parses as argparse does, but reports unknown flags before the arguments that are missing because of them."""
        args = sys.argv[1:] if args is None else list(args)
        # What follows a subcommand is that one's.
        if self._subparsers is None:
            unknown = self._unknown_flags(args)
            if unknown:
                self.error(f"unrecognized arguments: {', '.join(unknown)}")
        return super().parse_known_args(args, namespace)

    def _unknown_flags(self, args: Sequence[str]) -> list[str]:
        """The flags that there are not, each with those that are near."""
        known = [flag for action in self._actions for flag in action.option_strings]
        unknown = []
        for argument in args:
            flag = argument.partition("=")[0]
            if argument == "--" or flag in ("-h", "--help"):
                break
            # Numbers may be negative, and argparse takes what has a space for a value.
            if re.match(r"--?[A-Za-z]", flag) and " " not in flag and flag not in known:
                beginning = [one for one in known if flag.startswith("--") and one.startswith(flag)]
                unknown.append(flag + _suggestion(flag, known, beginning))
        return unknown

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Checks as argparse does, and also suggests the choice nearest to the value."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            error.message += _suggestion(str(value), map(str, action.choices or ()))
            raise

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Prints as argparse does, but reports when the output is closed."""
        print(self.format_help(), end="", file=file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Ends the command, after what it has printed, such as ``--help``, has arrived."""
        print(end="", flush=True)
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        """Says what was wrong and ends the command."""
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see --help)\n")


def _suggestion(received: str, known: Iterable[str], near: Sequence[str] = ()) -> str:
    near = near or difflib.get_close_matches(received, list(known), n=1)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def path_argument(text: str) -> Path:
    """A path, as an argparse ``type``: an empty one, as of a variable that is not set, is not the working folder.

    Args:
        text: The text that was given.

    Raises:
        argparse.ArgumentTypeError: If it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; the working folder is '.'. Received: ''")
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
        help="folder of the datasets (default: TensorFlow Datasets' own)",
    )


def add_max_bad(parser: argparse.ArgumentParser) -> None:
    """Adds the flag for the number of broken images that are skipped.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--max-bad",
        type=int,
        default=10,
        metavar="N",
        help="skip at most this number of broken images in a folder (default: 10)",
    )


def add_network_arguments(parser: Parser) -> None:
    """Adds the flags that say of a weight file what it does not say itself.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--classes", type=int, metavar="N", help="number of classes, where the weight file does not say it"
    )
    parser.add_argument(
        "--input-shape",
        type=int,
        nargs=3,
        metavar=("H", "W", "C"),
        help="height, width and channels of the input, where the weight file does not say them",
    )
    parser.add_argument("--labels", type=path_argument, metavar="FILE", help="file of class names, one per line")


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
