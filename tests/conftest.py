"""Shared fixtures and hooks: a quiet TensorFlow, the same random numbers in every run, and objects built only once."""

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
# Keras and the package are not imported here, because the process that only distributes tests needs neither of them.

ROOT = Path(__file__).parents[1]


def pytest_configure(config):
    """Starts the server of forks in the first process of a test run, for all processes of the run."""
    if ADDRESS not in os.environ:
        forks = contextlib.ExitStack()
        forks.enter_context(forking())
        config.add_cleanup(forks.close)


# The longest files come first. A long file that starts last keeps one process busy while the other has nothing to do.
LONGEST = ("other_backends", "scale", "training", "recovery", "benchmark", "readme", "export", "finetuning", "convert")


def pytest_collection_modifyitems(items):
    """Sorts the files in the order in which they are distributed: the longest first, then those with the most tests."""
    tests = collections.Counter(item.path for item in items)
    ranks = {f"test_{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -tests[item.path], item.path))


def pytest_collection_finish():
    """Keeps Python from searching TensorFlow's million permanent objects for garbage again and again."""
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
    """Returns the folder of the repository."""
    return ROOT


# The most memory that a process of the slow suite may keep, because two of them run on a machine with 16 GB.
MOST_MEMORY = 3 * 2**30


@pytest.fixture(autouse=True)
def _no_network_outlives_its_test(request):
    """Collects garbage after each slow test, because networks refer to themselves and the largest take 0.5 GB."""
    yield
    if request.node.get_closest_marker("slow"):
        pages = int(Path("/proc/self/statm").read_text().split()[1]) if sys.platform == "linux" else 0
        if pages * os.sysconf("SC_PAGE_SIZE") > MOST_MEMORY:
            _network.cache_clear()
        gc.collect()


@functools.lru_cache(maxsize=12)
def _network(name, arguments):
    # Imported from the defining module, because a test may replace the name in the package with this fixture.
    from googlenet_keras.models.registry import create_model

    return create_model(name, **dict(arguments))


@pytest.fixture(scope="session")
def network():
    """Returns a cached `create_model`; tests share its networks, and may inspect and call them but not change them."""

    def build(name, **arguments):
        _seed()
        built = _network(name, tuple(sorted(arguments.items())))
        _seed()
        return built

    return build


@pytest.fixture(scope="module")
def tiny():
    """Registers a network with batch normalization and an auxiliary head that is quick to train; yields its name."""
    from tiny import RECORD

    from googlenet_keras.models import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._RECORDS, RECORD.name, RECORD)
        yield RECORD.name


@pytest.fixture
def read_once(monkeypatch):
    """Reads each prepared dataset once for all trainings and evaluations; tests/test_data.py tests reading."""
    share_what_is_read(monkeypatch)


def share_what_is_read(patch):
    """Does the same as `read_once`, for fixtures with a longer scope."""
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
    """Runs TensorFlow's functions eagerly, because a few steps take less time than building a graph."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def python():
    """Returns a function that runs Python in a separate process in the repository and returns the finished process."""

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
    """Returns a function like `python`, whose process has imported TensorFlow and Keras already."""

    def run(*arguments, **options):
        with Fork(*arguments, **options) as process:
            said = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, *said)

    return run


@pytest.fixture(scope="module")
def forked_verification():
    """Verifies exports in forks, which need not import TensorFlow; one export in tests/test_export.py imports it."""
    with pytest.MonkeyPatch.context() as patch:
        verify_in_forks(patch.setattr)
        yield
