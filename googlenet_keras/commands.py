"""What the commands share: their parser, their errors and their exit statuses."""

import argparse
import contextlib
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

WORK_FAILED = 1
WRONG_USE = 2
LONGEST_MESSAGE = 600  # characters


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Says what was wrong and ends the command."""
        self.exit(WRONG_USE, f"{self.prog}: error: {message} (see --help)\n")


def run(command: Callable[[Any], int], parser: Parser, argv: list[str] | None) -> int:
    """Runs a command and turns its failures into one line on stderr and an exit status.

    Args:
        command: From the parsed arguments to an exit status. A ValueError or OSError that it raises is wrong use, any
            other exception is work that failed.
        parser: Its parser.
        argv: The arguments; None is those of the process.

    Returns:
        The exit status: 0, 1 for failed work, 2 for wrong use, 130 if interrupted.
    """
    arguments = parser.parse_args(argv)
    # SavedModels are TensorFlow's, whatever backend the user trains with.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    try:
        with quiet_start():
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            tf.config.list_physical_devices()
        return command(arguments)
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted; nothing was changed", file=sys.stderr)
        return 130
    except Exception as error:
        # For those who develop the package: the whole story.
        if os.environ.get("GOOGLENET_KERAS_TRACEBACK"):
            raise
        wrong_use = isinstance(error, (ValueError, OSError))
        kind = "" if wrong_use or isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        print(f"{parser.prog}: error: {kind}{_one_line(_message(error))}", file=sys.stderr)
        return WRONG_USE if wrong_use else WORK_FAILED


def _one_line(message: str) -> str:
    """A message that a terminal can show: a ValueError of `load_state` may list hundreds of tensors."""
    return textwrap.shorten(message, LONGEST_MESSAGE, placeholder=" ...")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {str(error.filename)!r}" if error.filename else ""
        return f"{error.strerror}{where}; check the path, its permissions and the space on the disk"
    return str(error)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keeps what TensorFlow's C++ says while it starts off the terminal, unless it fails to start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
