"""All commands report wrong use, end cleanly after a signal or a closed pipe, and respect the user's backend."""

import argparse
import contextlib
import gc
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from googlenet_keras import __main__ as everything, files
from googlenet_keras.commands import benchmark, data, describe, evaluate, export, predict, running, train
from googlenet_keras.commands.parsing import Parser

SAMPLE = str(ROOT / "tests" / "data" / "fashion_mnist_sample")


def refusal(command, arguments, capsys):
    """Returns the one line that a command prints if it is used wrongly."""
    try:
        status = command.main(arguments)
    except SystemExit as stop:  # argparse exits instead of returning
        status = stop.code
    output = capsys.readouterr()
    assert status == 2
    assert output.out == ""
    (line,) = output.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        (export, ["--inpt-shape", "1"], "--inpt-shape; did you mean --input-shape?"),
        (export, ["--input_shape=1"], "--input_shape; did you mean --input-shape?"),
        (export, ["-output", "x"], "-output; did you mean --output?"),
        (export, ["--strategy", "miror"], "; did you mean mirrored?"),
        (export, ["--model", "googlenet_b"], "did you mean googlenet_bn"),
        (train, ["--recpie", "fashion_mnist", "--output", "x"], "--recpie; did you mean --recipe?"),
        (train, ["--recipe", "fashon_mnist", "--output", "x"], "'paper_imagenet'); did you mean fashion_mnist?"),
        (train, ["--recipe", "fashion_mnist", "--output", "x", "--no-resum"], "did you mean --no-resume?"),
        (train, ["--recipe", "fashion_mnist", "--strategy", "mult_worker"], "did you mean multi_worker?"),
        (data, ["prepar", "fashion_mnist"], "did you mean prepare?"),
        (data, ["prepare", "fashion_mnist", "--form", "x"], "--form; did you mean --from?"),
        (benchmark, ["lrm"], "did you mean lrn?"),
        (evaluate, ["--dataset", "x"], "the following arguments are required"),
        (predict, ["x", "--qqq", "--zzz"], "unrecognized arguments: --qqq, --zzz (see"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_was_meant_is_named(command, arguments, message, capsys):
    """A user who mistypes a flag is told which one exists, without reading the whole help."""
    assert message in refusal(command, arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "near"), [(["--class", "3"], "--classes"), (["--la", "x"], "--labels"), (["--force=1"], None)]
)
def test_flags_are_written_out(arguments, near, capsys):
    """An abbreviation in a script would change its meaning, or fail, as soon as another flag begins with it."""
    line = refusal(export, arguments, capsys)
    assert (f"did you mean {near}?" in line) if near else ("did you mean" not in line)


def test_values_are_not_taken_for_flags():
    """Negative numbers, paths with a dash and a space, and what follows ``--`` are read as values."""
    parser = Parser(prog="p")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--name")
    parser.add_argument("paths", nargs="*")
    found = parser.parse_args(["--seed", "-1", "--name=--other", "-a b", "--", "--sed"])
    assert (found.seed, found.name, found.paths) == (-1, "--other", ["-a b", "--sed"])


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (export, ["--output", ""]),
        (export, ["--labels="]),
        (train, ["--recipe", "fashion_mnist", "--output", ""]),
        (train, ["--recipe", "fashion_mnist", "--output", "x", "--data-dir", ""]),
        (evaluate, ["--model", "nin", "--weights", "x", "--dataset", "x", "--output", ""]),
        (evaluate, ["--model", "nin", "--weights", "x", "--dataset", "x", "--data-dir", ""]),
        (data, ["show", "x", "--data-dir", ""]),
        (data, ["prepare", "fashion_mnist", "--from", ""]),
        (predict, [""]),
        (describe, ["--compare", "nin", "--plot", ""]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value.__name__,
)
def test_an_empty_path_is_not_the_working_folder(command, arguments, capsys, tmp_path, monkeypatch):
    """``--output "$RESULTS"`` with an unset variable would write to the working folder, among the user's own files."""
    monkeypatch.chdir(tmp_path)
    assert "the path is empty; for the working folder, give '.'. Received: ''" in refusal(command, arguments, capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (evaluate, ["--model", "nin", "--weights", "missing.weights.h5", "--dataset", "fashion_mnist"]),
        (train, ["--recipe", "fashion_mnist", "--dataset", "folder:missing"]),
        (export, ["--input-shape", "64", "64", "3", "--aux-heads"]),
    ],
    ids=["evaluate", "train", "export"],
)
def test_a_refusal_leaves_no_folder(command, arguments, capsys, tmp_path, monkeypatch):
    """Empty folders among the results would look like runs that were lost."""
    monkeypatch.chdir(tmp_path)
    assert command.main([*arguments, "--output", "runs/new"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["jax", "nonsense"])
def test_the_users_backend_is_not_overruled(backend, capsys, monkeypatch):
    """A user who has chosen JAX gets an error, and is not given TensorFlow silently."""
    monkeypatch.setenv("KERAS_BACKEND", backend)
    line = refusal(export, ["--output", "x"], capsys)
    assert f"unset KERAS_BACKEND, or set it to tensorflow. Received: KERAS_BACKEND='{backend}'" in line
    assert os.environ["KERAS_BACKEND"] == backend


DESCRIBE = """
import sys
from googlenet_keras.commands.describe import main
status = main(["mnist_residual", "--json"])
print("tensorflow" in sys.modules)
sys.exit(status)
"""


@pytest.mark.slow
def test_describe_takes_the_users_backend(python):
    """Counting parameters needs no TensorFlow if Keras runs on another backend."""
    process = python("-c", DESCRIBE, KERAS_BACKEND="jax")
    assert (process.returncode, process.stderr) == (0, "")
    assert '"name": "mnist_residual"' in process.stdout
    assert process.stdout.endswith("False\n")


def test_a_backend_that_is_not_there_is_named(python):
    process = python("-m", "googlenet_keras.describe", "mnist_residual", KERAS_BACKEND="nonsense")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "name another one in KERAS_BACKEND. Received: KERAS_BACKEND='nonsense'" in line


@pytest.fixture
def without_a_reader():
    """Returns a function that runs a command with a closed standard output; it returns the status and stderr."""

    def run(*arguments):
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writer)
        return process.returncode, process.stderr

    return run


@pytest.mark.parametrize(
    "command", ["export", "train", "predict", "explain", "evaluate", "data", "describe", "benchmark"]
)
def test_help_into_a_closed_pipe_ends_without_a_word(command, without_a_reader):
    assert without_a_reader("-m", f"googlenet_keras.{command}", "--help") == (141, "")


PRINT = """
import sys
from googlenet_keras.commands import parsing, running
def work(arguments):
    {how}
    return 0
running._start_keras = lambda needs_tensorflow: None
sys.exit(running.run(work, parsing.Parser(), []))
"""
WAYS = {
    "Rich": "from rich.console import Console; Console().print('words')",
    "buffered": "print('words')",
    "more than the buffer": "print('words' * 100_000)",
    "also on stderr": "import os; os.dup2(1, 2); print('words', file=sys.stderr)",
}


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_a_closed_pipe_ends_a_command_without_a_word(how, without_a_reader):
    """A user who appends ``| head -1`` is not told to check the space on the disk."""
    assert without_a_reader("-c", PRINT.format(how=how)) == (141, "")


@pytest.mark.slow
@pytest.mark.parametrize("form", [[], ["--json"]], ids=["table", "json"])
def test_a_closed_pipe_ends_describe_without_a_word(form, without_a_reader):
    """The whole command prints no error, not even when TensorFlow exits."""
    assert without_a_reader("-m", "googlenet_keras.describe", "mnist_residual", *form) == (141, "")


def test_a_full_disk_under_the_output_is_said(python):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "googlenet_keras.export", "--help"]
        process = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "No space left on device" in line


def run(work, monkeypatch):
    """Runs a command without starting Keras, and returns its exit status."""
    monkeypatch.setattr(running, "_start_keras", lambda needs_tensorflow: None)
    return running.run(work, Parser(prog="command"), [])


def wait_for_the_signal():
    for _ in range(500):
        time.sleep(0.01)
    return 0


SIGNALS = [(signal.SIGTERM, 143, "stopped by SIGTERM"), (signal.SIGINT, 130, "interrupted")]


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_command_clears_up_and_says_so(number, status, how, monkeypatch, capsys, tmp_path):
    """A stopped command leaves no lock, partial files or empty folder, and restores the caller's signal handlers."""
    folder = tmp_path / "runs" / "new"

    def work(arguments: argparse.Namespace) -> int:
        with files.output_folder(folder), files.Publication(folder, "thing") as publication:
            with files.write_aside(publication.aside / "one") as file:
                file.write(b"whole")
            (publication.aside / "other").write_text("half")
            signal.raise_signal(number)
            return wait_for_the_signal()

    before = signal.getsignal(number)
    assert run(work, monkeypatch) == status
    assert capsys.readouterr().err == f"command: {how}; nothing was changed\n"
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
def test_a_command_stopped_after_its_work_says_what_it_wrote(number, status, how, monkeypatch, capsys, tmp_path):
    """A signal that arrives while files are put in place waits for the last of them, and all of them are reported."""
    exchange = files._replace

    def slow(made, target):
        signal.raise_signal(number)
        exchange(made, target)

    def work(arguments: argparse.Namespace) -> int:
        with files.Publication(tmp_path, "thing") as publication:
            for name in ("one", "two"):
                (publication.aside / name).write_text("whole")
            publication.publish()
        return wait_for_the_signal()

    monkeypatch.setattr(files, "_replace", slow)
    assert run(work, monkeypatch) == status
    said = capsys.readouterr().err
    assert said.startswith(f"command: {how}; it had written ")
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}
    assert all(str(tmp_path / name) in said for name in ("one", "two"))


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_within_the_garbage_collector_is_not_lost(number, status, how, monkeypatch, capsys):
    """Python drops exceptions of the collector's callbacks, so the command would ignore the signal and run on."""
    raised = []

    def callback(phase, info):
        if not raised:
            raised.append(number)
            signal.raise_signal(number)

    def work(arguments: argparse.Namespace) -> int:
        gc.callbacks.append(callback)
        gc.collect()
        return wait_for_the_signal()

    try:
        assert run(work, monkeypatch) == status
    finally:
        gc.callbacks.remove(callback)
    assert capsys.readouterr().err == f"command: {how}; nothing was changed\n"


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
def test_what_fails_by_a_signal_is_not_taken_for_failed_work(number, status, how, monkeypatch, capsys):
    """Ctrl-C also ends the other processes of a command, but the user must not be told that, say, drawing failed."""
    raised = []

    def callback(phase, info):
        if not raised:
            raised.append(number)
            signal.raise_signal(number)

    def work(arguments: argparse.Namespace) -> int:
        gc.callbacks.append(callback)
        gc.collect()
        raise RuntimeError("the other process is gone")

    try:
        assert run(work, monkeypatch) == status
    finally:
        gc.callbacks.remove(callback)
    assert capsys.readouterr().err == f"command: {how}; nothing was changed\n"


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("error", [BrokenPipeError, RuntimeError("the other process is gone")])
def test_a_clean_up_that_fails_does_not_hide_the_signal(number, status, how, error, monkeypatch, capsys):
    """The same signal has ended the other processes, so their closed pipes are not a closed standard output."""

    def work(arguments: argparse.Namespace) -> int:
        try:
            signal.raise_signal(number)
        finally:
            raise error

    assert run(work, monkeypatch) == status
    assert capsys.readouterr().err == f"command: {how}; nothing was changed\n"


@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("runs_on", [True, False], ids=["it runs on", "it ends"])
def test_a_signal_that_other_code_drops_is_not_lost(number, status, how, runs_on, monkeypatch, capsys):
    """The native code of `Tensor.numpy` drops exceptions of the Python code that it calls.

    Therefore an export continued after a signal, and exited with status 0.
    """

    def work(arguments: argparse.Namespace) -> int:
        for _ in range(2):
            with contextlib.suppress(BaseException):
                signal.raise_signal(number)
        return wait_for_the_signal() if runs_on else 0

    assert run(work, monkeypatch) == status
    assert capsys.readouterr().err == f"command: {how}; nothing was changed\n"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status", "how"), SIGNALS, ids=["SIGTERM", "Ctrl-C"])
@pytest.mark.parametrize("wait", [0.2, 1.0, 2.0])
def test_a_stopped_export_leaves_nothing(number, status, how, wait, tmp_path):
    """The real command can be stopped at any moment; Ctrl-C reaches all its processes, and only one may report it."""
    folder = tmp_path / "exports"
    process = subprocess.Popen(
        [sys.executable, "-m", "googlenet_keras.export", "--model", "googlenet_d2l", "--output", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not folder.exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(wait)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, error = process.communicate()
    # The native code of `Tensor.numpy` prints an exception and its traceback before it drops it.
    ours = re.sub(r"\w+Error: <EMPTY MESSAGE>\n\nAt:\n(  .*\n)+\n?", "", out)
    assert (process.returncode, ours) == (status, "")
    assert error == f"python -m googlenet_keras.export: {how}; nothing was changed\n"
    assert not list(tmp_path.iterdir())


def test_help_is_there_at_once(python):
    """Users would wait for seconds for the help of a command if it imported Keras or TensorFlow."""
    code = (
        "import contextlib, runpy, sys\n"
        "for name in sys.argv[1:]:\n"
        "    sys.argv = [name, '--help']\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        runpy.run_module(f'googlenet_keras.{name}', run_name='__main__')\n"
        "    heavy = {'keras', 'tensorflow', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "    print('loaded by', name, sorted(heavy))\n"
    )
    answer = python("-c", code, *everything.COMMANDS)
    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert [line for line in lines if line.startswith("loaded")] == [
        f"loaded by {name} []" for name in everything.COMMANDS
    ]
    usages = [line.split()[:4] for line in lines if line.startswith("usage: ")]
    assert usages == [["usage:", "python", "-m", f"googlenet_keras.{name}"] for name in everything.COMMANDS]


def test_the_commands_by_one_name(python, capsys):
    """A user who has forgotten the name of a command can list all of them without waiting for TensorFlow."""
    answer = python("-X", "importtime", "-m", "googlenet_keras")
    assert answer.returncode == 0
    assert [line.split()[0] for line in answer.stdout.splitlines()[2:]] == [*everything.COMMANDS]
    assert not {"tensorflow", "keras"} & {line.split("|")[-1].strip() for line in answer.stderr.splitlines()}
    assert "did you mean train?" in refusal(everything, ["trian"], capsys)
    assert "did you mean --weights?" in refusal(everything, ["evaluate", "--weigths", "x"], capsys)
    for name in everything.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            everything.main([name, "--help"])
        assert stop.value.code == 0
        assert f"googlenet_keras.{name}" in capsys.readouterr().out
