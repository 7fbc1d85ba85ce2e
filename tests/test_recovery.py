"""What a training loses when its process is killed, when the disk is full, or when it is asked to leave: nothing."""

import csv
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from processes import Fork

COMMAND = ["-m", "googlenet_keras.train"]
ARGUMENTS = [
    *["--recipe", "d2l_fashion_mnist", "--model", "mnist_inception"],
    *["--data-dir", "tests/data/fashion_mnist_sample", "--input-size", "28", "--batch-size", "32"],
    *["--learning-rate", "0.02", "--momentum", "0.5", "--average-decay", "0.99", "--flip", "0.5", "--shift", "2"],
    *["--erase", "0.5", "--schedule", "cosine", "--epochs", "12", "--checkpoint-steps", "3", "--deterministic"],
]
KILLS = 6

# Dies in the middle of writing the Nth checkpoint.
KILLED_WHILE_SAVING = """
import os, signal, sys
import numpy as np
from googlenet_keras.commands import train

saves, left = np.savez, [int(sys.argv[1])]
def savez(file, **arrays):
    left[0] -= 1
    if left[0] == 0:
        names = list(arrays)
        saves(file, **{name: arrays[name] for name in names[: len(names) // 2]})
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    saves(file, **arrays)
np.savez = savez
sys.exit(train.main(sys.argv[2:]))
"""


def start(folder, *extra):
    return Fork(*COMMAND, *ARGUMENTS, "--output", folder, *extra)


def checkpoints(folder):
    return sorted((folder / "checkpoints").glob("step-*.npz")) if folder.exists() else []


def last_variables(folder):
    with np.load(checkpoints(folder)[-1]) as archive:
        return {name: archive[name] for name in archive.files if name != "facts"}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a training that nothing happened to, and the seconds from its first checkpoint to its last."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with start(folder) as process:
        while not checkpoints(folder) and process.poll() is None:
            time.sleep(0.05)
        begun = time.monotonic()
        assert process.wait() == 0, process.communicate()
    return folder, time.monotonic() - begun


@pytest.mark.slow
def test_killed_six_times_it_ends_with_the_same_bits(tmp_path, undisturbed, fork):
    """Four kills at random moments of the training and two within a checkpoint; then to the end."""
    reference, seconds = undisturbed
    folder = tmp_path / "killed"
    moments = random.Random(0)
    within_a_checkpoint = {2, 4}
    finished = False
    for kill in range(KILLS):
        if kill in within_a_checkpoint:
            process = fork("-c", KILLED_WHILE_SAVING, moments.randint(1, 3), *ARGUMENTS, "--output", folder)
            assert process.returncode == -signal.SIGKILL, process.stderr
            continue
        with start(folder) as process:
            before = checkpoints(folder)
            while process.poll() is None and checkpoints(folder) == before:
                time.sleep(0.02)
            # Not so far that the end is reached before the last kill.
            time.sleep(moments.uniform(0, seconds / KILLS))
            finished = process.poll() is not None
        assert not finished, f"ended before kill {kill + 1}: the kills tested nothing"
    process = fork(*COMMAND, *ARGUMENTS, "--output", folder)
    assert process.returncode == 0, process.stderr
    variables, expected = last_variables(folder), last_variables(reference)
    assert variables.keys() == expected.keys()
    for name, array in variables.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    rows, others = (list(csv.DictReader((place / "log.csv").read_text().splitlines())) for place in (folder, reference))
    assert [row["loss"] for row in rows] == [row["loss"] for row in others]
    assert [row["val_accuracy"] for row in rows] == [row["val_accuracy"] for row in others]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("steps", [0, 1], ids=["while it starts to train", "while it trains"])
def test_asked_to_leave_it_does_so_within_five_seconds(tmp_path, number, steps):
    """Even within the first step of GoogLeNet, which is seconds of TensorFlow's own."""
    folder = tmp_path / "asked"
    googlenet = ["--model", "googlenet_bn", "--input-size", "32", "--epochs", "1000", "--checkpoint-steps", "1"]
    # With all that the interpreter does at its end.
    process = subprocess.Popen(
        [sys.executable, *COMMAND, *ARGUMENTS, "--output", str(folder), *googlenet],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert line.startswith("Training googlenet_bn"), process.stderr.read()
    while steps and not checkpoints(folder):
        time.sleep(0.1)
    time.sleep(2 if not steps else 0.3)
    asked = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate()
    assert time.monotonic() - asked < 5
    assert process.returncode == 128 + number
    # It saves and leaves, or, within a step that lasts, says what the disk has.
    there = "the next run starts from " + ("the last checkpoint" if checkpoints(folder) else "the beginning")
    assert "continues from there" in error or there in error
    assert "Traceback" not in error


WITHIN_A_LONG_STEP = """
import os, signal, sys, time
from googlenet_keras.training import interruption
interruption.GRACE = 0.1
with interruption.Interruption(lambda: f"so says {sys.argv[1]}"):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_step_that_lasts_is_left_with_what_is_true(fork):
    """The message is asked for when the process ends, and the status is the signal's."""
    process = fork("-c", WITHIN_A_LONG_STEP, "the folder")
    assert process.returncode == 128 + signal.SIGTERM
    assert process.stderr == "Interrupted during a long step: so says the folder\n"


FULL_DISK = """
import resource, sys
from googlenet_keras.commands import train
# A disk that takes no file above 300 kB: checkpoints of this network have about 1.2 MB.
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.exit(train.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_older_checkpoint(tmp_path, fork):
    """One clear line, the status of wrong use, and what was there before."""
    folder = tmp_path / "full"
    few = [*ARGUMENTS, "--output", folder, "--epochs", "1", "--steps-per-epoch", "2"]
    first = fork(*COMMAND, *few)
    assert first.returncode == 0, first.stderr
    before = {path: path.read_bytes() for path in checkpoints(folder)}
    process = fork("-c", FULL_DISK, *few, "--no-resume")
    errors = [line for line in process.stderr.splitlines() if line.startswith("python -m")]
    assert process.returncode == 2
    assert len(errors) == 1
    assert "File too large" in errors[0]
    assert {path: path.read_bytes() for path in checkpoints(folder)} == before
    assert not list(folder.rglob("*.partial*"))
    assert (folder / "model.weights.h5").exists()
