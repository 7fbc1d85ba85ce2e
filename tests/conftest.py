"""What every test stands on: TensorFlow without its chatter, equal numbers in every run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _same_numbers_in_every_run():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


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
