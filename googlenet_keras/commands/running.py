"""Runs the commands: reports errors in one line, returns exit statuses, and handles signals and closed pipes."""

import _thread
import argparse
import contextlib
import os
import signal
import sys
import tempfile
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn, TypeAlias

from googlenet_keras import files
from googlenet_keras.commands.parsing import WRONG_USE, Parser

Command: TypeAlias = Callable[[argparse.Namespace], int]

WORK_FAILED = 1
KILLED_BY = 128  # a shell adds the signal's number to this for the exit status of a command that a signal ended
CLOSED_PIPE = KILLED_BY + 13  # SIGPIPE, which Windows does not have
LONGEST_MESSAGE = 600  # characters


class TerminatedError(BaseException):
    """Raised on SIGTERM. Like `KeyboardInterrupt`, it is no `Exception`, so that only clean-up code handles it."""


class _CtrlCError(KeyboardInterrupt):
    """A KeyboardInterrupt that weak references can watch, which the built-in class does not allow."""


_STOPS: dict[int, type[BaseException]] = {signal.SIGTERM: TerminatedError, signal.SIGINT: _CtrlCError}
_DEFAULTS: dict[int, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


def run(command: Command, parser: Parser, argv: list[str] | None, *, needs_tensorflow: bool = True) -> int:
    """Runs a command and turns its failures into one line on stderr and an exit status.

    Args:
        command: A function that takes the parsed arguments, does the work and returns an exit status. A ValueError or
            OSError from it means wrong use, and any other exception means that the work failed.
        parser: The parser of the command.
        argv: The arguments; None means those of the process.
        needs_tensorflow: Whether the command needs the TensorFlow backend; if so, it is an error if the user has chosen
            another one.

    Returns:
        The exit status of the command, usually 0; 1 for failed work, 2 for wrong use, 130 after Ctrl-C, 143 after
        SIGTERM, and 141, without a message, if the reader of the output has closed the pipe.
    """
    try:
        return _run(command, parser, argv, needs_tensorflow)
    finally:
        for stream in (sys.stdout, sys.stderr):
            _finish(stream)


def _run(command: Command, parser: Parser, argv: list[str] | None, needs_tensorflow: bool) -> int:
    placed_before = len(files.placed)
    try:
        arguments = parser.parse_args(argv)
        with _stoppable():
            _start_keras(needs_tensorflow)
            status = command(arguments)
            _flush()
        return status
    except KeyboardInterrupt:
        return _interrupted(parser, signal.SIGINT, "interrupted", placed_before)
    except TerminatedError:
        return _interrupted(parser, signal.SIGTERM, "stopped by SIGTERM", placed_before)
    except BrokenPipeError:
        return CLOSED_PIPE
    except SystemExit as stop:
        # Rich exits when the pipe is closed.
        if isinstance(stop.__context__, BrokenPipeError):
            return CLOSED_PIPE
        raise
    except Exception as error:
        # Developers of the package can ask for the full traceback.
        if os.environ.get("GOOGLENET_KERAS_TRACEBACK"):
            raise
        wrong_use = isinstance(error, (ValueError, OSError))
        kind = "" if wrong_use or isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        _say(f"{parser.prog}: error: {kind}{_one_line(_message(error))}")
        return WRONG_USE if wrong_use else WORK_FAILED


def _start_keras(needs_tensorflow: bool) -> None:
    """Starts Keras and its backend, and hides the messages that they print.

    Raises:
        ValueError: If the user has chosen a backend that the command cannot use, or that is not installed.
    """
    chosen = os.environ.get("KERAS_BACKEND")
    if needs_tensorflow:
        if chosen and chosen != "tensorflow":
            raise ValueError(
                "This command needs the TensorFlow backend of Keras: unset KERAS_BACKEND, or set it to tensorflow. "
                f"Received: KERAS_BACKEND={chosen!r}"
            )
        # This overrides the user's Keras configuration file, which may name another backend.
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_start():
        if needs_tensorflow:
            import tensorflow as tf

            tf.get_logger().setLevel("ERROR")
            tf.config.list_physical_devices()
            return
        try:
            import keras
        except (ImportError, ValueError) as error:
            raise ValueError(
                f"Keras does not start ({error}): install its backend, or name another one in KERAS_BACKEND. "
                f"Received: KERAS_BACKEND={chosen!r}"
            ) from None
        keras.ops.zeros(())  # A backend finds its devices, and prints about them, in its first computation.


def _interrupted(parser: Parser, number: int, how: str, placed_before: int) -> int:
    """Prints which files were written before the signal came, and returns the exit status."""
    # Files that were placed in a temporary folder were deleted with that folder.
    placed = [str(path) for path in dict.fromkeys(files.placed[placed_before:]) if path.exists()]
    left = f"it had written {', '.join(placed)}" if placed else "nothing was changed"
    _say(f"{parser.prog}: {how}; {_one_line(left)}")
    return KILLED_BY + number


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Makes SIGTERM and Ctrl-C raise an exception while the block runs, repeatedly until one ends the block.

    An exception may get lost: Python drops exceptions that a callback of its garbage collector raises (JAX, which Keras
    imports if it is installed, has such a callback), and native code may drop exceptions of the Python code that it
    calls. In exports, about one signal in ten was lost. An exception that is freed while the block still runs has been
    dropped, so another one is raised.

    Raises:
        TerminatedError: If SIGTERM was received.
        KeyboardInterrupt: If SIGINT was received.
    """
    # Only the main thread may set handlers. Handlers that others have set are kept, and ignored signals stay ignored.
    in_main_thread = threading.current_thread() is threading.main_thread()
    ours = [number for number, default in _DEFAULTS.items() if in_main_thread and signal.getsignal(number) is default]
    others = sys.unraisablehook
    timers: list[threading.Timer] = []
    came: list[int] = []
    over = threading.Event()

    def stop(number: int, frame: object) -> NoReturn:
        came.append(number)
        # The exception is not assigned to a variable, because its traceback holds this frame, which would then keep it
        # from being freed.
        raise watched(number)

    def watched(number: int) -> BaseException:
        exception = _STOPS[number]()
        weakref.finalize(exception, repeat, number).atexit = False
        return exception

    def repeat(number: int) -> None:
        if not over.is_set():
            # The delay lets the callback end first.
            timers.append(threading.Timer(0.05, _thread.interrupt_main, [number]))
            timers[-1].start()

    def say(unraisable: "sys.UnraisableHookArgs") -> None:
        if not issubclass(unraisable.exc_type, tuple(_STOPS.values())):
            others(unraisable)

    sys.unraisablehook = say
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
        if came:
            raise _STOPS[came[-1]]
    except Exception as error:
        # The signal has also reached the other processes of the command. Their end may have made the work, or the
        # clean-up, fail here.
        if came:
            raise _STOPS[came[-1]] from error
        raise
    finally:
        over.set()
        for timer in timers:
            timer.cancel()
        for number in ours:
            signal.signal(number, _DEFAULTS[number])
        sys.unraisablehook = others


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr)


def _flush() -> None:
    """Flushes the output, so that a closed pipe or a full disk raises an error here and not at Python's exit."""
    print(end="", flush=True)


def _finish(stream: IO[str] | None) -> None:
    """Discards what a stream cannot write, because Python would try again at its exit and print an error."""
    if stream is None:
        return
    try:
        print(end="", file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _one_line(message: str) -> str:
    """Shortens a message for the terminal, because a ValueError of `load_state` may list hundreds of tensors."""
    return textwrap.shorten(message, LONGEST_MESSAGE, placeholder=" ...")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {str(error.filename)!r}" if error.filename else ""
        return f"{error.strerror}{where}; check the path, its permissions and the space on the disk"
    return str(error)


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hides the messages that TensorFlow's C++ code prints while it starts, unless it fails to start."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except Exception:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
