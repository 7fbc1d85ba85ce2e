"""The hardware decides on which devices a model is placed, and in which dtype it computes."""

import json

import pytest
import tensorflow as tf

from googlenet_keras import create_model, devices, evaluate, export_model
from googlenet_keras.devices import choose_dtype, cpu_computes_bfloat16, create_strategy, gpus_compute_bfloat16

# Logical devices must be configured before TensorFlow is used, so this runs in a process that has only imported it.
MIRRORED = """
import json, sys
import tensorflow as tf
import processes
import tiny
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from googlenet_keras import create_model
from googlenet_keras.commands import export
from googlenet_keras.devices import create_strategy

processes.verify_in_forks()
tiny.register()
folder, weights = sys.argv[1:]
arguments = dict(input_shape=(33, 33, 3), classes=4, classifier_activation="softmax", weights=weights)
strategy, took = create_strategy("mirrored")
with strategy.scope():
    model = create_model("tiny", **arguments)
assert strategy.num_replicas_in_sync == 2, took
assert isinstance(model.get_layer("conv1").kernel.value, tf.distribute.DistributedValues)
images = np.random.default_rng(0).uniform(-1, 1, (6, 33, 33, 3)).astype("float32")
alone = create_model("tiny", **arguments)(images).numpy()
# Of the largest output, as an export is verified: three images may be multiplied by another kernel than six.
near = {"rtol": 0, "atol": 1e-5 * alone.max()}
np.testing.assert_allclose(model.predict(images, batch_size=6, verbose=0), alone, **near)
command = ["--model", "tiny", "--input-shape", "33", "33", "3", "--classes", "4", "--strategy", "mirrored"]
status = export.main([*command, "--weights", weights, "--output", folder])
assert status == 0, status
loaded = tf.saved_model.load(f"{folder}/tiny")
answer = loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"]
np.testing.assert_allclose(answer, alone, **near)
print(took)
"""


@pytest.mark.slow
def test_mirrored_over_two_cpus(tmp_path, fork, tiny):
    """A model on two replicas is built, computes and is exported like one on a single device."""
    create_model(tiny, input_shape=(33, 33, 3), classes=4).save_weights(tmp_path / "trained.weights.h5")
    process = fork("-c", MIRRORED, tmp_path / "exports", tmp_path / "trained.weights.h5")
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "mirrored over 2 CPUs"
    card = json.loads((tmp_path / "exports" / "tiny.json").read_text())
    assert card["strategy"] == "mirrored over 2 CPUs"


def test_mirrored_takes_every_core(fork):
    """Without GPUs, each core becomes a replica with one thread, unless the process has used TensorFlow already."""
    script = (
        "import os, sys\nimport tensorflow as tf\nfrom googlenet_keras.devices import create_strategy\n"
        "os.sched_getaffinity = lambda process: range(3)\n"
        "if len(sys.argv) > 1: tf.constant(0)\n"
        "strategy, took = create_strategy('mirrored')\n"
        "print(took, tf.config.threading.get_intra_op_parallelism_threads())"
    )
    for arguments, expected in (((), "mirrored over 3 CPUs 1"), (("used",), "mirrored over 1 CPU 0")):
        process = fork("-c", script, *arguments)
        assert process.returncode == 0, process.stderr
        assert process.stdout.splitlines()[-1] == expected


class Devices:
    """Simulates a machine with a number of GPUs, and records the devices that strategies take."""

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
    """The layers import this module on every Keras backend, so it must not import TensorFlow."""
    script = "import sys\nimport googlenet_keras.devices\nassert not {'tensorflow', 'keras'} & set(sys.modules)"
    process = python("-c", script)
    assert process.returncode == 0, process.stderr


def test_the_names_are_where_they_were():
    """Users import these names from the package and from `googlenet_keras.training`."""
    import googlenet_keras
    from googlenet_keras import training

    assert googlenet_keras.create_strategy is training.create_strategy is create_strategy
    assert training.STRATEGIES == ("auto", "none", "cpu", "gpu", "mirrored", "multi_worker", "tpu")


# Excerpts of /proc/cpuinfo of several processors, with only the relevant words.
ZEN_3 = "processor\t: 0\nflags\t\t: fpu sse4_2 avx avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu sse4_2 avx avx2 fma\n"
ZEN_5 = "processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16\n"
SKYLAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx512f\n"
SAPPHIRE_RAPIDS = "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16 amx_tile\n"
ALDER_LAKE = "processor\t: 0\nflags\t\t: fpu avx2 avx_vnni avx_ne_convert\n"
GRAVITON_3 = "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n"


@pytest.mark.parametrize(
    ("cpuinfo", "environment", "native", "reason"),
    [
        (ZEN_5, {}, True, "the processor computes bfloat16 (avx512_bf16)"),
        (SAPPHIRE_RAPIDS, {}, True, "the processor computes bfloat16 (avx512_bf16, amx_bf16)"),
        (ZEN_3, {}, False, "the processor has no bfloat16 arithmetic (neither avx512_bf16 nor amx_bf16)"),
        (SKYLAKE, {}, False, "no bfloat16 arithmetic"),
        (ALDER_LAKE, {}, False, "no bfloat16 arithmetic"),
        (GRAVITON_3, {}, False, "has no x86 flags"),
        (None, {}, False, "the processor's features are unknown"),
        (ZEN_5, {"TF_ENABLE_ONEDNN_OPTS": "0"}, False, "TF_ENABLE_ONEDNN_OPTS turns oneDNN off"),
        (ZEN_5, {"TF_ENABLE_ONEDNN_OPTS": "False"}, False, "TF_ENABLE_ONEDNN_OPTS turns oneDNN off"),
        (ZEN_5, {"TF_ENABLE_ONEDNN_OPTS": "1"}, True, "avx512_bf16"),
        (ZEN_5, {"ONEDNN_MAX_CPU_ISA": "avx512_core"}, False, "oneDNN is limited to avx512_core"),
        (ZEN_5, {"DNNL_MAX_CPU_ISA": "AVX2"}, False, "oneDNN is limited to AVX2"),
        (ZEN_5, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}, True, "avx512_bf16"),
    ],
)
def test_which_cpus_compute_bfloat16(cpuinfo, environment, native, reason):
    """A user whose processor emulates bfloat16 would train for five times as long if this were wrong."""
    answer, why = cpu_computes_bfloat16(cpuinfo, environment)
    assert answer is native
    assert reason in why


@pytest.mark.parametrize(
    ("gpus", "native", "reason"),
    [
        ([{"device_name": "A", "compute_capability": (8, 0)}], True, "the A has compute capability 8.0"),
        ([{"device_name": "T", "compute_capability": (7, 5)}], False, "the T has compute capability 7.5"),
        ([{"compute_capability": (9, 0)}, {"device_name": "T", "compute_capability": (7, 5)}], False, "the T"),
        ([{"device_name": "R"}], False, "the compute capability of the R is unknown"),
    ],
)
def test_which_gpus_compute_bfloat16(gpus, native, reason):
    """The weakest GPU decides."""
    answer, why = gpus_compute_bfloat16(gpus)
    assert answer is native
    assert reason in why


@pytest.fixture
def processor(monkeypatch, tmp_path):
    """Returns a function that simulates another processor; the warning about bfloat16 has not been given yet."""
    for name in ("TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    devices._warn_of_emulation.cache_clear()

    def become(cpuinfo):
        (tmp_path / "cpuinfo").write_text(cpuinfo)
        monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")

    yield become
    devices._warn_of_emulation.cache_clear()


@pytest.mark.parametrize(("cpuinfo", "name"), [(ZEN_3, "float32"), (ZEN_5, "mixed_bfloat16")])
@pytest.mark.parametrize("strategy", [None, tf.distribute.OneDeviceStrategy, tf.distribute.MirroredStrategy])
def test_auto_takes_what_the_processor_computes(processor, cpuinfo, name, strategy):
    """With every strategy for the CPU, its flags decide, and the reason is available for results.json."""
    processor(cpuinfo)
    devices_of = {tf.distribute.OneDeviceStrategy: "/cpu:0", tf.distribute.MirroredStrategy: ["CPU:0"]}
    choice = choose_dtype("auto", strategy and strategy(devices_of[strategy]))
    assert choice.name == name
    assert "bfloat16" in choice.reason


def test_auto_on_accelerators(processor, monkeypatch):
    """A GPU decides if the strategy uses one, whatever the processor; otherwise the processor decides, or the TPU."""
    processor(ZEN_3)
    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"device_name": "H", "compute_capability": (9, 0)}
    )

    class On:
        """A strategy that uses the given devices."""

        def __init__(self, *places):
            self.extended = self
            self.worker_devices = places

    worker = "/job:worker/replica:0/task:0/device"
    assert choose_dtype().name == "mixed_bfloat16"
    assert choose_dtype("auto", On(f"{worker}:GPU:0", f"{worker}:GPU:1")).name == "mixed_bfloat16"
    assert choose_dtype("auto", On(f"{worker}:CPU:0")).name == "float32"
    assert choose_dtype("auto", On(f"{worker}:TPU:0")) == devices.DtypeChoice("mixed_bfloat16", "TPUs compute bfloat16")


def test_emulated_bfloat16_is_warned_of_once(processor):
    """A user who asks for emulated bfloat16 gets it, and is warned of its cost, but only once."""
    processor(ZEN_3)
    asked = ("mixed_bfloat16", "bfloat16", "mixed_bfloat16")
    with pytest.warns(UserWarning, match=r"bfloat16 is emulated here: .*5\.5 times as long in mixed_bfloat16") as told:
        choices = [choose_dtype(name) for name in asked]
    assert choices == [devices.DtypeChoice(name, "as asked for") for name in asked]
    assert len(told) == 1
    assert told[0].filename == __file__


@pytest.mark.filterwarnings("error:bfloat16 is emulated")
@pytest.mark.parametrize(
    ("cpuinfo", "requested"), [(ZEN_5, "mixed_bfloat16"), (ZEN_3, "float32"), (ZEN_3, "float64"), (ZEN_3, "auto")]
)
def test_nothing_else_is_warned_of(processor, cpuinfo, requested):
    processor(cpuinfo)
    choice = choose_dtype(requested)
    assert requested in (choice.name, "auto")


@pytest.mark.slow
@pytest.mark.usefixtures("forked_verification")
def test_export_and_evaluate_take_auto(tmp_path):
    """Both report which dtype was chosen."""
    small = {"classes": 10, "input_shape": (28, 28, 1)}
    made = export_model("mnist_inception", folder=tmp_path, dtype="auto", **small)
    assert json.loads(made.card.read_text())["dtype"] == choose_dtype().name
    create_model("mnist_inception", **small).save_weights(tmp_path / "some.weights.h5")
    arguments = {"dataset": "fashion_mnist", "data_dir": "tests/data/fashion_mnist_sample", "split": "test[:8]"}
    measured = evaluate("mnist_inception", [tmp_path / "some.weights.h5"], dtype="auto", **arguments)
    assert measured.dtype == choose_dtype().name
