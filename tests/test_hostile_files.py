"""Tests that weight files can do no harm: what they claim is verified, and nothing in them is executed."""

import pickle
import tempfile

import fuzz_readers
import numpy as np
import pytest
from hostile_files import CANARY, HOSTILE, RUNNING
from weight_files import write_safetensors

from googlenet_keras import read_weights
from googlenet_keras.weights.readers import DamagedFileError

STATE = {"fc.weight": np.arange(12, dtype="float32").reshape(3, 4), "fc.bias": np.ones(3, "float32")}


@pytest.mark.parametrize(
    ("format_", "lie", "message"),
    [
        ("keras_legacy", "external_storage", r"fc/.*: its numbers are in another file, /etc/passwd"),
        ("keras_legacy", "external_link", "fc/.*: a soft or external link"),
        ("keras_legacy", "soft_link", "fc/.*: a soft or external link"),
        ("keras_legacy", "hard_link_circle", "fc/.*: it is /.* under another name"),
        ("keras_legacy", "virtual_dataset", "fc/.*: a virtual dataset"),
        ("keras_legacy", "huge_without_storage", "fc/.*: 4000000000000 bytes are declared, but 0 are stored"),
        ("keras_legacy", "huge_in_absent_pieces", "fc/.*: it must have 1600 chunks, but has 0"),
        ("keras_legacy", "deflated_zeros", "fc/.*: a file of this size cannot have chunks|many times"),
        (
            "keras_legacy",
            "piece_that_inflates_beyond_itself",
            "fc/.*: one of its chunks does not have",
        ),
        ("keras_zip", "deflated_zeros", "unpacks to more data than a weight file of its size may contain"),
        ("npz", "objects", "conv: a tensor must contain numbers, and this one contains object"),
        ("npz", "deflated_zeros", "its tensors would take many times the size of the file"),
        ("pytorch", "reduce", r"its pickle would call os\.system, but only tensors are read"),
        ("pytorch_old", "reduce", r"its pickle would call os\.system, but only tensors are read"),
        ("pytorch", "module", "contains the opcode NEWOBJ, which is not needed for weights"),
        ("pytorch", "deflated_storage", "would take many times the size of the file"),
        ("safetensors", "huge_shape", "w: 4000000000000 bytes are declared, but the file is too short"),
        ("safetensors", "overlap", "its tensors overlap"),
        ("caffe", "huge_shape", r"conv\.weight: 4000000000000 bytes are declared, but the file is too short"),
        ("tarball", "parent_folder", r"member \.\./w\.ckpt is not a plain file inside the archive"),
        ("tarball", "symbolic_link", r"member v\.ckpt is not a plain file inside the archive"),
        ("tarball", "zeros", "it contains more data than a weight file may contain|unpacks to more"),
    ],
)
def test_what_a_file_may_not_do(format_, lie, message, tmp_path, monkeypatch):
    """The message names the attempt and the tensor; nothing is executed or left in the temporary folder."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(temporary)
    path = tmp_path / "w"
    HOSTILE[format_][lie](path, STATE, np.random.default_rng(0))
    with pytest.raises(DamagedFileError, match=message) as error:
        read_weights(path)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(f"Received: {str(path)!r}")
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("name", fuzz_readers.HONEST)
def test_a_truncated_file_is_one_line_with_its_name(name, tmp_path):
    file, write = fuzz_readers.HONEST[name]
    write(tmp_path / file, fuzz_readers.honest_state())
    largest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    for share in (0, 0.01, 0.5, 0.999):
        largest.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DamagedFileError) as error:
            read_weights(tmp_path / file)
        assert "\n" not in str(error.value)
        assert file in str(error.value)


@pytest.fixture(scope="module")
def worker():
    with fuzz_readers.Worker() as worker:
        yield worker


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz_readers.HONEST)
def test_spoilt_files_of_every_format(name, worker):
    """Each of the fuzzer's first 40 mutations must end in an allowed outcome, within the limits of time and memory."""
    figures = fuzz_readers.fuzz(name, 40, 0, worker)
    assert not figures.failures
    assert sum(figures.counts.values()) == 40
    assert figures.counts["refused"] > 10


@pytest.mark.parametrize("name", ["reduce", "reduce_posix", "stack_global", "inst", "obj"])
def test_the_pickles_are_real(name, tmp_path, monkeypatch):
    """Python's own unpickler executes the command in these pickles, so they are a real test for the readers."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(RUNNING[name])
    assert [path.name for path in tmp_path.iterdir()] == [CANARY.split()[1]]


@pytest.mark.slow
def test_the_worker_tells_numbers_apart(worker, tmp_path):
    write_safetensors(tmp_path / "w", STATE)
    other = {**STATE, "fc.bias": STATE["fc.bias"] + 1}
    outcome = worker.read(tmp_path / "w", other)
    assert (outcome.kind, outcome.different) == ("other", 3)
    assert worker.read(tmp_path / "w", {"fc.bias": STATE["fc.bias"]}).kind == "misfit"
    assert worker.read(tmp_path / "missing").kind == "failed"  # a ValueError, but not a DamagedFileError


def test_the_fuzzer_fails_when_it_must():
    """The fuzzer reports a lie that is accepted, a process that dies, and too much memory or time."""
    right = fuzz_readers.Outcome("right")
    outcomes = [
        *(right, right, right),  # of the honest file
        fuzz_readers.Outcome("misfit"),  # of the first mutation, which lies
        fuzz_readers.Outcome("failed", "the process died of it, with -11"),
        fuzz_readers.Outcome("refused", memory=65 * 2**20),
        fuzz_readers.Outcome("refused", seconds=10.1),
        right,
    ]

    class Worker:
        def read(self, path, expected=None):
            return outcomes.pop(0)

    figures = fuzz_readers.fuzz("safetensors", 5, 0, Worker())
    assert [(number, what) for number, _, what in figures.failures] == [
        (0, "a lie was taken as misfit"),
        (1, "the process died of it, with -11"),
        (2, "it took 68 MB"),
        (3, "it took 10.1 s"),
    ]
