"""Reports the progress of long work: a line at least every 30 seconds where no terminal shows a bar."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType

from rich.console import Console

LONGEST_SILENCE = 30.0  # seconds


def shows_bars(console: Console) -> bool:
    """True if a console can draw and move a bar, so that lines are not needed."""
    return console.is_terminal and not console.is_dumb_terminal


class Heartbeat:
    """While the block runs, a thread says what is going on whenever nothing has been said for a while.

    Args:
        describe: A function that returns the state of the work in a line; the thread calls it.
        say: Takes the line, in the thread.
        silence: Seconds without a line after which there is one.
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
        """Starts to count the seconds."""
        self.stop()
        self._ended = threading.Event()
        self.postpone()
        self._thread = threading.Thread(target=self._run, args=(self._ended,), daemon=True)
        self._thread.start()

    def postpone(self) -> None:
        """Counts the seconds from now on, for something has just been said."""
        self._said_at = time.monotonic()

    def stop(self) -> None:
        """Says nothing more; there may be nothing to stop."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(max(0.0, self._said_at + self._silence - time.monotonic())):
            if time.monotonic() < self._said_at + self._silence:
                continue  # Something else was said meanwhile.
            self.postpone()
            try:
                self._say(self._describe())
            except OSError:  # Nobody reads it any more; the work itself will find out.
                return


@contextlib.contextmanager
def status(message: str, *, silence: float = LONGEST_SILENCE) -> Iterator[Callable[[str], None]]:
    """Shows on stderr what is going on: a spinner on a terminal, and otherwise a line whenever it takes long.

    Args:
        message: The first message.
        silence: Seconds without a line after which there is one.

    Yields:
        A function that takes the next message.
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
