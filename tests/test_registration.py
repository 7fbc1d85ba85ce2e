"""A model that was saved is loaded by Keras alone, once the package is imported."""

import re

import keras
import numpy as np
import pytest

from googlenet_keras import registration
from googlenet_keras.layers import BatchNormalization, CeilAveragePooling2D, LocalResponseNormalization
from googlenet_keras.training import Muon

LOAD = """
import sys
import numpy as np
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
for name in ("plain", "lrn", "batch_normalization", "muon"):
    model = keras.models.load_model(f"{folder}/{name}.keras")
    np.save(f"{folder}/{name}.npy", model(x))
trainers = {"googlenet_keras.training.loop", "googlenet_keras.data"}
print(type(model.optimizer).__module__, *(trainers & set(sys.modules)))
"""


def convolve(x):
    return keras.layers.Conv2D(3, 3, activation="relu")(x)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of models with layers of the package, one compiled with its optimizer, and what they answer."""
    folder = tmp_path_factory.mktemp("models")
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 2)).astype("float32")
    np.save(folder / "x.npy", x)
    answers = {}
    inputs = keras.Input((9, 9, 2))
    for name, output in {
        "lrn": CeilAveragePooling2D(3, 2)(LocalResponseNormalization()(convolve(inputs))),
        "batch_normalization": BatchNormalization()(convolve(inputs)),
        "muon": convolve(inputs),
        "plain": convolve(inputs),
    }.items():
        model = keras.Model(inputs, output)
        if name == "muon":
            model.compile(Muon(0.01), "mse")
            model.train_on_batch(x, np.zeros((2, *output.shape[1:])))
        model.save(folder / f"{name}.keras")
        answers[name] = np.asarray(model(x))
    return folder, answers


WITHOUT_THE_PACKAGE = """
import sys
import keras
folder = sys.argv[1]
print(keras.models.load_model(folder + "/plain.keras").count_params())
try:
    keras.models.load_model(folder + "/batch_normalization.keras")
except TypeError as error:
    print(error)
print("googlenet_keras" in sys.modules)
"""


def test_what_keras_does_without_the_package(saved, fork):
    """A network of Keras's layers alone loads anywhere; of another one Keras says which module was not imported."""
    folder, _ = saved
    process = fork("-c", WITHOUT_THE_PACKAGE, folder)
    assert process.returncode == 0, process.stderr
    first, *error, last = process.stdout.splitlines()
    assert int(first) > 0
    assert "make sure they are all imported" in " ".join(error)
    assert "'module': 'googlenet_keras.layers'" in " ".join(error)
    assert last == "False"


def assert_loaded(process, saved):
    folder, answers = saved
    assert process.returncode == 0, process.stderr
    # The optimizer is known, and nothing of what trains has been imported for it.
    assert process.stdout.split() == ["googlenet_keras.training.muon"]
    for name, answer in answers.items():
        # Another process may split the same sums among its threads otherwise.
        np.testing.assert_allclose(np.load(folder / f"{name}.npy"), answer, rtol=0, atol=1e-5 * np.abs(answer).max())


def test_keras_loads_saved_models_where_it_was_imported_first(saved, fork):
    """Without it a user's trained model ends in "could not be deserialized properly"."""
    assert_loaded(fork("-c", "import keras, googlenet_keras\n" + LOAD, saved[0]), saved)


# Libraries look whether Keras is there, read its files through its loader, and import it later.
LOOKED_FOR = """
import googlenet_keras, sys, importlib.util
spec = importlib.util.find_spec("keras")
assert spec.loader.get_source("keras") and "keras" not in sys.modules
import keras
assert keras.saving.get_registered_object("googlenet_keras>Muon")
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("googlenet_keras")]
"""


@pytest.mark.slow
def test_keras_loads_saved_models_where_it_is_imported_last(saved, python):
    """Looking for Keras is no import of it, and does not keep the later one from knowing the package's classes."""
    assert_loaded(python("-c", LOOKED_FOR + LOAD, saved[0]), saved)


def test_the_package_alone_imports_no_keras(python):
    """Registering must not cost every import of the package, and every ``--help``, the start of TensorFlow."""
    process = python("-c", "import googlenet_keras, sys; print(*sys.modules)")
    assert process.returncode == 0, process.stderr
    assert not {"keras", "tensorflow", "numpy"} & set(process.stdout.split())


def test_no_registered_class_is_forgotten(root):
    """A class in a module that is not listed would be unknown to Keras again."""
    package = root / "googlenet_keras"
    with_classes = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in package.rglob("*.py")
        if re.search(r"^@.*register_keras_serializable", path.read_text(), re.MULTILINE)
    }
    assert with_classes == set(registration.MODULES)
