"""What the hardware decides: where a model lives, and in which dtype it computes."""

import json

import pytest
import tensorflow as tf

from googlenet_keras.devices import create_strategy

# Logical devices must be there before TensorFlow is used: a process of its own.
MIRRORED = """
import json, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from googlenet_keras import create_model, export
from googlenet_keras.devices import create_strategy

folder, weights = sys.argv[1:]
arguments = dict(input_shape=(65, 65, 3), classes=4, weights=weights)
strategy, took = create_strategy("mirrored")
with strategy.scope():
    model = create_model("googlenet_bn", **arguments)
assert strategy.num_replicas_in_sync == 2, took
assert isinstance(model.get_layer("conv1_7x7").kernel.value, tf.distribute.DistributedValues)
images = np.random.default_rng(0).uniform(-1, 1, (6, 65, 65, 3)).astype("float32")
alone = create_model("googlenet_bn", **arguments)(images)
np.testing.assert_allclose(model.predict(images, batch_size=6, verbose=0), alone, rtol=1e-5)
command = ["--model", "googlenet_bn", "--input-shape", "65", "65", "3", "--classes", "4", "--strategy", "mirrored"]
status = export.main([*command, "--weights", weights, "--output", folder])
assert status == 0, status
loaded = tf.saved_model.load(f"{folder}/googlenet_bn")
answer = loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"]
np.testing.assert_allclose(answer, alone, rtol=1e-5)
print(took)
"""


def test_mirrored_over_two_cpus(tmp_path, python):
    """Builds, answers and exports as one device does."""
    from googlenet_keras import create_model

    create_model("googlenet_bn", input_shape=(65, 65, 3), classes=4).save_weights(tmp_path / "trained.weights.h5")
    process = python("-c", MIRRORED, tmp_path / "exports", tmp_path / "trained.weights.h5")
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "mirrored over 2 CPUs"
    card = json.loads((tmp_path / "exports" / "googlenet_bn.json").read_text())
    assert card["strategy"] == "mirrored over 2 CPUs"


def test_mirrored_takes_every_core(python):
    """Without GPUs each core is a replica, of one thread, in a process that has not used TensorFlow."""
    script = (
        "import os, sys\nimport tensorflow as tf\nfrom googlenet_keras.devices import create_strategy\n"
        "os.sched_getaffinity = lambda process: range(3)\n"
        "if len(sys.argv) > 1: tf.constant(0)\n"
        "strategy, took = create_strategy('mirrored')\n"
        "print(took, tf.config.threading.get_intra_op_parallelism_threads())"
    )
    for arguments, expected in (((), "mirrored over 3 CPUs 1"), (("used",), "mirrored over 1 CPU 0")):
        process = python("-c", script, *arguments)
        assert process.returncode == 0, process.stderr
        assert process.stdout.splitlines()[-1] == expected


class Devices:
    """A machine of so many GPUs, for strategies that are only asked what they took."""

    def __init__(self, monkeypatch, gpus):
        self.taken = []
        names = {"GPU": [f"/device:GPU:{i}" for i in range(gpus)], "CPU": ["/device:CPU:0"]}
        monkeypatch.setattr(
            tf.config,
            "list_logical_devices",
            lambda kind: [tf.config.LogicalDevice(name, kind) for name in names[kind]],
        )
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: names[kind])
        monkeypatch.setattr(tf.config, "get_logical_device_configuration", lambda device: "settled")
        for kind in ("MirroredStrategy", "OneDeviceStrategy"):
            monkeypatch.setattr(
                tf.distribute, kind, lambda devices, kind=kind: self.taken.append((kind, devices)) or kind
            )


@pytest.mark.parametrize(
    ("name", "gpus", "kind", "devices", "words"),
    [
        ("auto", 0, "OneDeviceStrategy", "/device:CPU:0", "one CPU"),
        ("auto", 1, "OneDeviceStrategy", "/device:GPU:0", "one GPU"),
        ("auto", 2, "MirroredStrategy", ["/device:GPU:0", "/device:GPU:1"], "mirrored over 2 GPUs"),
        ("cpu", 2, "OneDeviceStrategy", "/device:CPU:0", "one CPU"),
        ("gpu", 2, "OneDeviceStrategy", "/device:GPU:0", "one GPU"),
        ("mirrored", 0, "MirroredStrategy", ["/device:CPU:0"], "mirrored over 1 CPU"),
        ("mirrored", 3, "MirroredStrategy", [f"/device:GPU:{i}" for i in range(3)], "mirrored over 3 GPUs"),
    ],
)
def test_what_a_strategy_takes(monkeypatch, name, gpus, kind, devices, words):
    machine = Devices(monkeypatch, gpus)
    assert create_strategy(name) == (kind, words)
    assert machine.taken == [(kind, devices)]


def test_refusals(monkeypatch):
    Devices(monkeypatch, 0)
    with pytest.raises(ValueError, match="sees no GPU"):
        create_strategy("gpu")
    with pytest.raises(ValueError, match="must be one of auto, none, cpu, gpu, mirrored, multi_worker, tpu"):
        create_strategy("all")


def test_asking_nothing_costs_nothing(python):
    """The layers import the module on every Keras backend: it must not bring TensorFlow with it."""
    script = "import sys\nimport googlenet_keras.devices\nassert not {'tensorflow', 'keras'} & set(sys.modules)"
    process = python("-c", script)
    assert process.returncode == 0, process.stderr


def test_the_names_are_where_they_were():
    """Users import them from the package and from its training."""
    import googlenet_keras
    from googlenet_keras import training

    assert googlenet_keras.create_strategy is training.create_strategy is create_strategy
    assert training.STRATEGIES == ("auto", "none", "cpu", "gpu", "mirrored", "multi_worker", "tpu")
