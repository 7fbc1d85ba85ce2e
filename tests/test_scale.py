"""Several devices, several workers, and what happens when one of them dies: the end is that of one process."""

import contextlib
import json
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import streamed
import tensorflow as tf
from processes import Fork

from googlenet_keras import create_model, load_recipe
from googlenet_keras.training import create_strategy, train

pytestmark = pytest.mark.usefixtures("tiny")
ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests/data/fashion_mnist_sample"
LONGEST = 300  # seconds that a run may take on a busy machine
TOLERANCE = 1e-5  # of a tensor's largest weight, and of each loss
# 16 steps an epoch, without dropout and normalization.
PLAIN = {
    "model": "mnist_inception",
    "input_size": 28,
    "batch_size": 32,
    "epochs": 2,
    "learning_rate": 0.02,
    "momentum": 0.5,
    "average_decay": 0.9,
    "weight_decay": 1e-4,
}
# In float32 the sums of another order may end on the other side of a ReLU or choose another of two maxima, whose
# gradients then differ for good; normalization makes that a matter of a step or two. In float64 it is as good as never.
NORMALIZED = {
    "model": "tiny",
    "dtype": "float64",
    "optimizer": "muon",
    "momentum": 0.5,
    "dropout": 0.0,
    "synchronized": True,
    "input_size": 32,
    "batch_size": 33,
    "epochs": 1,
    "steps_per_epoch": 2,
    "learning_rate": 0.02,
    "validation_split": "test[:40]",
}
# Two processors where there may be one, which only a process that has not used TensorFlow can have.
TWO_CPUS = """
import tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
"""
TRAIN = """
import sys
import tiny
from googlenet_keras.commands import train
tiny.register()
sys.exit(train.main())
"""


def flags(fields):
    """The command's flags for a recipe's fields."""
    texts = []
    for name, value in fields.items():
        flag = f"--{name.replace('_', '-')}"
        texts += [flag] if value is True else [flag, str(value)]
    return texts


def command(output, fields, strategy):
    """The training's command, without Python."""
    base = ["--recipe", "d2l_fashion_mnist", "--data-dir", str(SAMPLE), "--output", str(output)]
    return [*base, "--strategy", strategy, *flags(fields)]


class Workers(contextlib.ExitStack):
    """Workers on this machine, started together; none outlives the block.

    Args:
        outputs: The folder that each is told to leave its results in.
        fields: Of the recipe.
        own_fields: For each worker, what it is told otherwise.
    """

    def __init__(self, outputs, fields, own_fields=None):
        super().__init__()
        own_fields = own_fields or [{}] * len(outputs)
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in outputs]
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
        for one in sockets:
            one.close()
        self.processes = []
        for index, output in enumerate(outputs):
            config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            arguments = command(output, {**fields, **own_fields[index]}, "multi_worker")
            process = Fork("-c", TRAIN, *arguments, merged=True, TF_CONFIG=json.dumps(config))
            self.processes.append(self.enter_context(process))

    def ends(self, timeout=LONGEST):
        """Waits for all; their statuses, and what each said."""
        deadline = time.monotonic() + timeout
        said = [process.communicate(timeout=max(0.1, deadline - time.monotonic()))[0] for process in self.processes]
        return [process.returncode for process in self.processes], said

    def wait_for(self, path):
        """Waits until there is such a file, while all are at work."""
        deadline = time.monotonic() + LONGEST
        while not path.exists():
            assert time.monotonic() < deadline, path
            assert all(process.poll() is None for process in self.processes), self.ends()
            time.sleep(0.005)


def mirrored(folder, fields):
    """Trains in a process with two logical CPUs; its status, and what it said."""
    with Fork("-c", TWO_CPUS + TRAIN, *command(folder, fields, "mirrored"), merged=True) as process:
        said = process.communicate(timeout=LONGEST)[0]
    return [process.returncode], said


def one_process(folder, fields):
    """Trains in this process, on one device; the folder."""
    train(load_recipe("d2l_fashion_mnist", **fields), folder, data_dir=SAMPLE)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process leaves."""
    return one_process(tmp_path_factory.mktemp("alone"), PLAIN)


def difference(folder, other):
    """The largest difference of two trainings' weights, against the largest weight of each tensor."""
    results = json.loads((folder / "results.json").read_text())
    size = results["recipe"]["input_size"]

    def weights(place):
        arguments = {"input_shape": (size, size, 1), "classes": 10, "weights": place / "model.weights.h5"}
        return create_model(results["recipe"]["model"], **arguments).get_weights()

    pairs = zip(weights(folder), weights(other), strict=True)
    return max(np.abs(one - another).max() / np.abs(another).max() for one, another in pairs)


def assert_same_end(folder, other, tolerance=TOLERANCE):
    """Two trainings left the same weights and the same figures, as far as float32 goes."""
    assert difference(folder, other) < tolerance
    one, another = (json.loads((place / "results.json").read_text()) for place in (folder, other))
    for name in ("step", "loss", "accuracy", "val_loss", "val_accuracy"):
        assert one[name] == pytest.approx(another[name], rel=tolerance), name


@pytest.mark.slow
def test_two_workers_end_as_one_process(tmp_path, alone):
    """Over loopback; and worker 1 leaves nothing in the folder that it is given, which here is its own."""
    folders = [tmp_path / "chief", tmp_path / "worker"]
    with Workers(folders, PLAIN) as workers:
        statuses, said = workers.ends()
    assert statuses == [0, 0], said
    assert "This is worker 1 of 2 workers; waiting for the others" in said[1]
    assert_same_end(folders[0], alone)
    assert json.loads((folders[0] / "results.json").read_text())["replicas"] == 2
    assert {path.name for path in folders[0].iterdir()} == {path.name for path in alone.iterdir()}
    assert not folders[1].exists()


@pytest.mark.slow
@pytest.mark.parametrize(("file_format", "count"), [("tfrecord", 4), ("array_record", 2)])
def test_workers_that_read_their_shares_end_as_one_process(tmp_path, file_format, count):
    """The losses are the same, though each worker reads other records of a dataset in many files."""
    data_dir = tmp_path / "data"
    streamed.prepare(data_dir, file_format)
    fields = {**NORMALIZED, "dataset": streamed.NAME, "batch_size": 32, "steps_per_epoch": 6, "flip": 0.5}
    fields["validation_split"] = "test"
    alone = tmp_path / "alone"
    train(load_recipe("d2l_fashion_mnist", **fields), alone, data_dir=data_dir)
    expected = json.loads((alone / "results.json").read_text())
    folder = tmp_path / "shared"
    with Workers([folder] * count, {**fields, "data_dir": data_dir}) as workers:
        statuses, said = workers.ends()
    assert not any(statuses), said
    received = json.loads((folder / "results.json").read_text())
    assert received["replicas"] == count
    for name in ("step", "loss", "accuracy", "val_loss", "val_accuracy"):
        assert received[name] == pytest.approx(expected[name], rel=TOLERANCE), name


@pytest.mark.slow
def test_workers_of_different_dtypes_end_with_advice(tmp_path):
    """Neither of them waits for the other for ever, and nothing is trained."""
    with Workers([tmp_path] * 2, PLAIN, ({"dtype": "float32"}, {"dtype": "mixed_bfloat16"})) as workers:
        statuses, said = workers.ends()
    assert statuses == [2, 2], said
    assert all("give all of them the same --dtype" in text.splitlines()[-1] for text in said), said
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_killed_workers_lose_nothing(tmp_path, alone):
    """Each of them is killed once; the other ends with one line that helps, and in the end nothing has happened."""
    fields = {**PLAIN, "checkpoint_steps": 5}
    for victim, step in ((1, 5), (0, 21)):
        with Workers([tmp_path] * 2, fields) as workers:
            workers.wait_for(tmp_path / "checkpoints" / f"step-{step:08d}.npz")
            workers.processes[victim].kill()
            statuses, said = workers.ends(timeout=60)
        assert not (tmp_path / "results.json").exists()
        assert statuses[victim] == -signal.SIGKILL
        assert statuses[1 - victim] == 1, said
        last = said[1 - victim].splitlines()[-1]
        assert last.startswith("python -m googlenet_keras.train: error: Another worker is gone"), said
    with Workers([tmp_path] * 2, fields) as workers:
        statuses, said = workers.ends()
    assert statuses == [0, 0], said
    assert "Resumed after" in said[0]
    assert_same_end(tmp_path, alone)


@pytest.mark.slow
def test_sigterm_to_all_workers(tmp_path, alone):
    """Both leave after the same step and within 5 s; a worker that cannot find it stops all; nothing is lost."""
    fields = {**PLAIN, "checkpoint_steps": 5}
    with Workers([tmp_path] * 2, fields) as workers:
        workers.wait_for(tmp_path / "checkpoints" / "step-00000005.npz")
        start_of_end = time.monotonic()
        for process in workers.processes:
            process.terminate()
        statuses, said = workers.ends()
        seconds = time.monotonic() - start_of_end
    assert statuses == [128 + signal.SIGTERM] * 2, said
    assert seconds < 5
    ends = {text.splitlines()[-1] for text in said}
    assert len(ends) == 1, ends
    assert "everything is saved" in ends.pop()

    with Workers([tmp_path, tmp_path / "elsewhere"], fields) as workers:
        statuses, said = workers.ends()
    assert statuses == [2, 2], said
    assert all("The workers would begin at different steps" in text.splitlines()[-1] for text in said), said

    with Workers([tmp_path] * 2, fields) as workers:
        statuses, said = workers.ends()
    assert statuses == [0, 0], said
    assert_same_end(tmp_path, alone)


@pytest.mark.slow
def test_mirrored_ends_as_one_device(tmp_path):
    """On two logical CPUs, with batches that do not divide by two."""
    fields = {**PLAIN, "batch_size": 33, "dtype": "float64", "flip": 0.5}
    statuses, said = mirrored(tmp_path / "mirrored", fields)
    assert statuses == [0], said
    assert "mirrored over 2 CPUs" in said
    assert_same_end(tmp_path / "mirrored", one_process(tmp_path / "alone", fields))


@pytest.fixture(scope="module")
def alone_normalized(tmp_path_factory, tiny):
    """What one process leaves of a network with batch normalization."""
    return one_process(tmp_path_factory.mktemp("alone_normalized"), NORMALIZED)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mirrored", "multi_worker"])
def test_synchronized_normalization_ends_as_one_device(tmp_path, alone_normalized, strategy):
    """The moments are those of the whole batch, whose parts are not of one size."""
    if strategy == "mirrored":
        statuses, said = mirrored(tmp_path, NORMALIZED)
    else:
        with Workers([tmp_path] * 2, NORMALIZED) as workers:
            statuses, said = workers.ends()
    assert set(statuses) == {0}, said
    assert_same_end(tmp_path, alone_normalized)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["mirrored", "multi_worker"])
def test_a_fine_tuning_ends_as_one_device(tmp_path, alone, strategy):
    """Weights, freezing, thawing, rates by layer and mixed images are the same whoever shares the work."""
    changes = {"weights": alone / "model.weights.h5", "freeze": "incep1", "unfreeze_after": 1, "layer_decay": 0.8}
    fields = {**PLAIN, "dtype": "float64", "optimizer": "adamw", "learning_rate": 0.001, "mixup": 0.4, **changes}
    reference = one_process(tmp_path / "alone", {**fields, "weights": str(fields["weights"])})
    if strategy == "mirrored":
        statuses, said = mirrored(tmp_path / "two", fields)
    else:
        with Workers([tmp_path / "two"] * 2, fields) as workers:
            statuses, said = workers.ends()
    assert not any(statuses), said
    assert_same_end(tmp_path / "two", reference)


def test_slurm_tells_of_the_workers(monkeypatch):
    """The variables that `srun` sets make the cluster; the ports follow from the tasks' places on their nodes."""
    made = {}
    slurm = {
        "SLURM_PROCID": "2",
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_STEP_NODELIST": "node[9-10]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    }
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)

    def strategy(cluster_resolver):
        made["resolver"] = cluster_resolver
        return "strategy"

    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", strategy)
    assert create_strategy("multi_worker") == ("strategy", "worker 2 of 3 workers")
    assert made["resolver"].cluster_spec().as_dict() == {"worker": ["node9:8888", "node9:8889", "node10:8888"]}
