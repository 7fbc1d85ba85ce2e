"""Reports the progress of long work, with a line at least every 30 seconds if no terminal can show a progress bar."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console

LONGEST_SILENCE = 30.0  # seconds


def shows_bars(console: Console) -> bool:
    """Returns whether a console can draw and update a progress bar, so that lines are not needed."""
    return console.is_terminal and not console.is_dumb_terminal


class Heartbeat:
    """Reports the state of long work, from a thread, whenever nothing has been printed for a while.

    It can be used as a context manager, or with `start` and `stop`.

    Args:
        describe: A function that returns the state of the work in one line; the thread calls it.
        say: A function that prints a line; the thread calls it.
        silence: The number of seconds without a line after which one is printed.
    """

    def __init__(
        self, describe: Callable[[], str], say: Callable[[str], None], *, silence: float = LONGEST_SILENCE
    ) -> None:
        self._describe = describe
        self._say = say
        self._silence = silence
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Heartbeat":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the thread, which counts the seconds from now on."""
        self.stop()
        self._ended = threading.Event()
        self.postpone()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), daemon=True)
        self._thread.start()

    def postpone(self) -> None:
        """Counts the seconds anew from now on; call it after something else was printed."""
        self._said_at = time.monotonic()

    def stop(self) -> None:
        """Ends the thread; does nothing if none is running."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(max(0.0, self._said_at + self._silence - time.monotonic())):
            if time.monotonic() < self._said_at + self._silence:
                continue  # Something else was printed in the meantime.
            self.postpone()
            try:
                self._say(self._describe())
            except OSError:  # The reader has closed the stream; the work itself will notice that too.
                return


@contextlib.contextmanager
def status(message: str, *, silence: float = LONGEST_SILENCE) -> Iterator[Callable[[str], None]]:
    """Shows the state of the work on stderr: a spinner on a terminal, and otherwise a line after each long silence.

    Args:
        message: The first message.
        silence: The number of seconds without a line after which one is printed, if there is no terminal.

    Yields:
        A function that replaces the message.
    """
    console = Console(stderr=True)
    if shows_bars(console):
        with console.status(message) as spinner:
            yield spinner.update
        return
    current = message

    def update(text: str) -> None:
        nonlocal current
        current = text

    with Heartbeat(lambda: current, lambda line: print(line, file=sys.stderr, flush=True), silence=silence):
        yield update
