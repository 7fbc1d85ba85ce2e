"""Starts Python processes that have imported TensorFlow and Keras already but used neither, by forking a server.

Importing both takes seconds, and few of the processes that tests start need to test the import. This file is also the
script of the server that is forked; the server ends when its standard input is closed.
"""

import atexit
import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The environment variable with the address of the server. The first process of a test run sets it for all of them.
ADDRESS = "GOOGLENET_KERAS_TESTS_FORK"


@contextlib.contextmanager
def forking():
    """Runs the server, so that forks are available within the block and in the processes that start within it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[ADDRESS] = str(Path(folder, "socket"))
        server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield
        finally:
            server.communicate()
            del os.environ[ADDRESS]


class Fork:
    """A Python process with the part of the interface of `subprocess.Popen` that the tests use.

    Its output goes to files. It is a context manager, and the process ends with the block.

    Args:
        arguments: The arguments of Python: ``"-c"`` with code, ``"-m"`` with a module, or a script, and then theirs.
        folder: The working folder.
        session: Whether the process leads a new session, and therefore a new process group.
        merged: Whether standard error goes to the same file as standard output.
        environment: The environment variables that differ from those of this process.
    """

    def __init__(self, *arguments, folder=ROOT, session=False, merged=False, **environment):
        # In append mode, output is written to the end of the file even if this process is reading elsewhere in it.
        self._files = [tempfile.TemporaryFile("a+") for _ in range(1 if merged else 2)]  # noqa: SIM115
        self._said = None
        self._status = ""
        self._server = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self._server.connect(os.environ[ADDRESS])
                break
            except (FileNotFoundError, ConnectionRefusedError):  # the server does not listen yet
                time.sleep(0.05)
        request = [[*map(str, arguments)], str(folder), session, {**os.environ, **environment}]
        reader, writer = os.pipe()
        streams = [reader, self._files[0].fileno(), self._files[-1].fileno()]
        socket.send_fds(self._server, [b"-"], streams)
        os.close(reader)
        self.stdin = open(writer, "w")  # noqa: PTH123, SIM115
        self._server.sendall(json.dumps(request).encode() + b"\n")
        self._lines = self._server.makefile()
        self.pid = int(self._lines.readline())
        self.returncode = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()
        self.communicate()

    def wait(self, timeout=None):
        """Waits for the end of the process and returns its exit status, or the negative number of the signal."""
        if self.returncode is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise TimeoutError(f"still at work after {timeout} s")
            self.returncode = int(self._lines.readline())
            self._lines.close()
            self._server.close()
        return self.returncode

    def poll(self):
        """Returns the exit status, or None while the process is running."""
        with contextlib.suppress(TimeoutError):
            self.wait(0)
        return self.returncode

    def communicate(self, text="", timeout=None):
        """Writes text to standard input, waits for the end of the process, and returns all of its output."""
        if self._said is None:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(text)
            self.wait(timeout)
            self._said = tuple(map(_content, self._files))
            for file in self._files:
                file.close()
        return self._said

    def first_line(self):
        """Waits for the first line of output, or for the end of the process, and returns the line."""
        while "\n" not in (found := _content(self._files[0])) and self.poll() is None:
            time.sleep(0.02)
        return found.partition("\n")[0]

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _content(file):
    file.seek(0)
    return file.read()


def verify_in_forks(set_attribute=setattr):
    """Makes exports use forks for their verification, which need not import TensorFlow first.

    Args:
        set_attribute: `setattr`, or a replacement such as that of pytest's monkeypatch.
    """
    from googlenet_keras.deploy import verification

    def enter(process):
        process._process = Fork(Path(verification.__file__).with_name("fresh_process.py"))
        return process

    set_attribute(verification.FreshProcess, "__enter__", enter)


def _requests():
    """Waits for requests, and returns each of them in a new process that has the streams of the requester."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.environ[ADDRESS])
        listener.listen(64)
        while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
            client, _ = listener.accept()
            import keras  # noqa: F401 (imported at the first request)

            _reap(os.WNOHANG)
            if os.fork() == 0:
                listener.close()
                return _request(client)
            client.close()
    _reap(0)
    os._exit(0)


def _reap(options):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _request(client):
    """Returns one request in a child process; this process stays behind and reports how the child has ended."""
    _, streams, *_ = socket.recv_fds(client, 1, 3)
    with client.makefile() as lines:
        request = json.loads(lines.readline())
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        client.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            client.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    client.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return request


def _run(arguments, folder, session, environment):
    """Runs what Python would run with these arguments, and ends without TensorFlow's clean-up, which takes a second."""
    try:
        _execute(arguments, folder, session, environment)
        status = 0
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _execute(arguments, folder, session, environment):
    if session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path.insert(0, folder)
    kind, *rest = arguments
    if kind == "-c":
        code, *rest = rest
        sys.argv = [kind, *rest]
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    elif kind == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    _run(*_requests())
