"""SIGTERM and Ctrl-C: the training ends at its next step, and in any case within seconds."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

# Seconds to save and leave; five is what is promised. The thread that counts them waits while Python's garbage
# collector takes a traced graph apart, 0.6 s for GoogLeNet; on a busy machine it was 1.6 s late altogether.
GRACE = 3.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """While the block runs, SIGTERM and SIGINT only set `requested`; the block is to look at it after every step.

    A step may be long, and the first one spends many seconds in TensorFlow, where Python's handlers do not run. A
    thread that the signal wakes ends the process if the block has not ended within `GRACE` seconds: what the last
    checkpoint holds is safe. In another thread than the main one, where Python takes no signals, the block just runs.

    Args:
        next_run: Says where the next run starts; it is called in that thread, when the process is about to end.

    Attributes:
        requested: The signal that came, or None.
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
        """Runs in a thread: a signal's number arrives as a byte, whatever the main thread is in."""
        with self._receiver:
            numbers = {int(number) for number in SIGNALS}
            number = self._next_byte()
            while number is not None and number not in numbers:
                number = self._next_byte()
            if number is not None and not self._left.wait(GRACE):
                print(f"Interrupted within a long step: {self._next_run()}", file=sys.stderr)
                sys.stderr.flush()
                os._exit(128 + number)

    def _next_byte(self) -> int | None:
        received = self._receiver.recv(1)
        return received[0] if received else None
