"""Long work is never silent for long, and never prints more than is needed."""

import io
import threading
import time

import pytest

from googlenet_keras import progress
from googlenet_keras.progress import Heartbeat

LONG = 60.0  # seconds to wait for a line before the test fails


class Lines(list):
    """Collects printed lines, and can wait for them."""

    def __init__(self):
        super().__init__()
        self._said = threading.Condition()

    def say(self, line):
        with self._said:
            self.append(line)
            self._said.notify_all()

    def wait_for(self, count):
        with self._said:
            assert self._said.wait_for(lambda: len(self) >= count, LONG), self


def test_a_line_comes_whenever_it_was_silent():
    """A user who watches the log of a step that takes minutes sees that the process is alive."""
    lines, counts = Lines(), iter(range(100))
    with Heartbeat(lambda: f"line {next(counts)}", lines.say, silence=0.01):
        lines.wait_for(3)
    said = len(lines)
    time.sleep(0.1)
    assert len(lines) == said  # nothing after the end
    assert lines[:3] == ["line 0", "line 1", "line 2"]


def test_no_line_comes_where_others_do():
    """A log gets no line without news between lines with news."""
    lines = Lines()
    with Heartbeat(lambda: "no news", lines.say, silence=30) as heartbeat:
        # Pretend again and again that 29 of the 30 seconds have passed.
        for _ in range(20):
            heartbeat._said_at = time.monotonic() - 29
            time.sleep(0.005)
            heartbeat.postpone()
    assert not lines


def test_it_begins_again_after_its_end():
    """A callback may be used for two trainings; ending it twice does nothing."""
    lines = Lines()
    heartbeat = Heartbeat(lambda: "again", lines.say, silence=0.01)
    for turn in (1, 2):
        heartbeat.start()
        lines.wait_for(turn)
        heartbeat.stop()
        heartbeat.stop()


def test_a_reader_that_has_left_does_not_matter(capfd):
    """`train | head -1` prints no traceback of a thread."""
    asked = threading.Event()

    def say(line):
        asked.set()
        raise BrokenPipeError

    heartbeat = Heartbeat(lambda: "", say, silence=0.01)
    heartbeat.start()
    assert asked.wait(LONG)
    heartbeat.stop()
    assert capfd.readouterr().err == ""


def test_without_a_terminal_the_status_is_a_line(monkeypatch):
    """A long `evaluate` in a batch job prints its progress to stderr, and a short one prints nothing."""

    class Stderr(io.StringIO):
        written = threading.Event()

        def flush(self):
            if "done" in self.getvalue():
                self.written.set()

    monkeypatch.setattr("sys.stderr", stderr := Stderr())
    with progress.status("starting") as update:
        update("5 of 9 done")
    assert stderr.getvalue() == ""
    with progress.status("starting", silence=0.01) as update:
        update("5 of 9 done")
        assert stderr.written.wait(LONG)
    assert set(stderr.getvalue().splitlines()) <= {"starting", "5 of 9 done"}


@pytest.mark.parametrize("forced", [True, False])
def test_a_terminal_shows_a_spinner_instead(monkeypatch, forced):
    """On a terminal, a spinner is shown and no lines are printed."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    console = progress.Console(file=io.StringIO(), force_terminal=forced)
    assert progress.shows_bars(console) is forced
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    monkeypatch.setattr(progress, "Heartbeat", None if forced else progress.Heartbeat)
    with progress.status("starting") as update:
        update("going on")
    assert ("starting" in console.file.getvalue() or "going on" in console.file.getvalue()) is forced
