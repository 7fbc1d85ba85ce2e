"""What every test stands on: TensorFlow without its chatter, equal numbers in every run, what is made once for all."""

import collections
import contextlib
import functools
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ADDRESS, Fork, forking, verify_in_forks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
# Neither Keras nor the package is imported here: the process that only gives tests out to others needs none of them.

ROOT = Path(__file__).parents[1]


def pytest_configure(config):
    """The first process of a run makes forks for all of them."""
    if ADDRESS not in os.environ:
        forks = contextlib.ExitStack()
        forks.enter_context(forking())
        config.add_cleanup(forks.close)


# What takes longest comes first: started last, it would keep one process busy while the other has nothing left to do.
LONGEST = ("other_backends", "scale", "training", "recovery", "benchmark", "readme", "export", "finetuning", "convert")


def pytest_collection_modifyitems(items):
    """The files in the order in which they are given out: the longest first, then those of most tests."""
    tests = collections.Counter(item.path for item in items)
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -tests[item.path], item.path))


def pytest_collection_finish():
    """TensorFlow's million objects stay: Python need not look through them for garbage again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _seed():
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _same_numbers_in_every_run():
    _seed()


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


# What a process of the slow suite may keep in memory, with another beside it on a machine of 16 GB.
MOST_MEMORY = 3 * 2**30


@pytest.fixture(autouse=True)
def _no_network_outlives_its_test(request):
    """Networks refer to themselves, and the largest take half a gigabyte: the garbage of a slow test is collected."""
    yield
    if request.node.get_closest_marker("slow"):
        pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
        if pages * os.sysconf("SC_PAGE_SIZE") > MOST_MEMORY:
            _network.cache_clear()
        gc.collect()


@functools.lru_cache(maxsize=12)
def _network(name, arguments):
    # From where it is written: a test may put this fixture in the place of the package's name.
    from googlenet_keras.models.registry import create_model

    return create_model(name, **dict(arguments))


@pytest.fixture(scope="session")
def network():
    """What `create_model` builds of these arguments, built once for all tests: they look at it and ask it only."""

    def build(name, **arguments):
        _seed()
        built = _network(name, tuple(sorted(arguments.items())))
        _seed()
        return built

    return build


@pytest.fixture(scope="module")
def tiny():
    """The name of a network with batch normalization and an auxiliary head that takes no time to build and train."""
    from tiny import RECORD

    from googlenet_keras.models import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._RECORDS, RECORD.name, RECORD)
        yield RECORD.name


@pytest.fixture
def read_once(monkeypatch):
    """Trainings and evaluations share what they read of prepared datasets; reading is tested in tests/test_data.py."""
    share_what_is_read(monkeypatch)


def share_what_is_read(patch):
    """What `read_once` does, for fixtures of a longer life."""
    for module in ("googlenet_keras.training.loop", "googlenet_keras.evaluation.measurement"):
        patch.setattr(f"{module}.open_dataset", _opened)


def _opened(name, *arguments, **options):
    from googlenet_keras.data import open_dataset

    return (open_dataset if name.startswith("folder:") else _opened_once)(name, *arguments, **options)


@functools.cache
def _opened_once(*arguments, **options):
    from googlenet_keras.data import open_dataset

    dataset = open_dataset(*arguments, **options)
    dataset.split = functools.cache(dataset.split)
    return dataset


@pytest.fixture
def eagerly():
    """TensorFlow's functions are run as they stand: a few steps are done before a graph of them would be made."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def python():
    """Runs Python in a process of its own, in the repository, and returns what it left."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def fork():
    """As `python`, in a process that has imported TensorFlow and Keras already."""

    def run(*arguments, **options):
        with Fork(*arguments, **options) as process:
            said = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, *said)

    return run


@pytest.fixture(scope="module")
def forked_verification():
    """Exports are verified in processes that need not import TensorFlow; one in tests/test_export.py does."""
    with pytest.MonkeyPatch.context() as patch:
        verify_in_forks(patch.setattr)
        yield
