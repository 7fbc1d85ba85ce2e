"""Handles SIGTERM and Ctrl-C: the training ends after the current step, or within seconds if the step takes longer."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

# The seconds for saving and exiting. The documentation promises five, but the thread that counts them can be late: it
# has to wait while Python's garbage collector frees a traced graph, which takes 0.6 s for GoogLeNet, and on a busy
# machine it was 1.6 s late in total.
GRACE = 3.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """A context in which SIGTERM and SIGINT only set `requested`, which the block must check after every step.

    A step may take long, and the first one spends many seconds in TensorFlow, where Python's signal handlers do not
    run. Therefore the signal wakes a thread, which ends the process if the block has not ended within `GRACE` seconds;
    only the progress since the last checkpoint is then lost. Outside the main thread, where Python cannot handle
    signals, the context does nothing.

    Args:
        next_run: A function that returns a text about where the next run starts. The thread calls it just before it
            ends the process.

    Attributes:
        requested: The signal that was received, or None.
    """

    def __init__(self, next_run: Callable[[], str]) -> None:
        self._next_run = next_run
        self.requested: signal.Signals | None = None
        self._left = threading.Event()

    def __enter__(self) -> "Interruption":
        self._old_handlers: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._listen()
        return self

    def _listen(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        self._old_wakeup = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, self._request) for number in SIGNALS}
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        if not self._old_handlers:
            return
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._sender.close()

    def _request(self, number: int, frame: object) -> None:
        self.requested = signal.Signals(number)

    def _watch(self) -> None:
        """Waits for a signal in a thread; its number arrives as a byte, whatever the main thread is doing."""
        with self._receiver:
            numbers = {int(number) for number in SIGNALS}
            number = self._next_byte()
            while number is not None and number not in numbers:
                number = self._next_byte()
            if number is not None and not self._left.wait(GRACE):
                print(f"Interrupted during a long step: {self._next_run()}", file=sys.stderr)
                sys.stderr.flush()
                os._exit(128 + number)

    def _next_byte(self) -> int | None:
        received = self._receiver.recv(1)
        return received[0] if received else None
