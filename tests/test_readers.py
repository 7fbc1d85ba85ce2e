"""Tests that published files of every format can be read, from their bytes to the outputs of the network."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import golden
import h5py
import ml_dtypes
import numpy as np
import pytest
from test_golden import caffe_names_of_d2l
from weight_files import (
    keras_2_layers,
    state_dict,
    write_caffe,
    write_checkpoint,
    write_keras_2,
    write_safetensors,
    write_tarball,
    write_torch,
)

from googlenet_keras import create_model, load_state, open_weights, read_weights
from googlenet_keras.weights.readers import DamagedFileError, read_attribute

# Relative to the largest output, because float32 sums in another order through 22 layers; as in test_golden.py.
TOLERANCE = 1e-4


def assert_same(received, expected):
    assert set(received) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(received[name], array)
        assert received[name].shape == array.shape
        assert received[name].flags.c_contiguous


def small_state():
    rng = np.random.default_rng(0)
    shapes = {"conv1.weight": (4, 3, 5, 5), "conv1.bias": (4,), "fc.weight": (6, 36), "fc.bias": (6,)}
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


STATE = small_state()


def write_slim(path, state):
    """Writes TF-slim's tarball: a checkpoint of one file, with the optimizer's slots and the step."""
    slots = {f"{name}/RMSProp": np.ones_like(array) for name, array in state.items() if name.endswith("/biases")}
    checkpoint = path.with_name("inception_v1.ckpt")
    write_checkpoint(checkpoint, {**state, **slots, "global_step": np.int64(7)}, version=1)
    write_tarball(path, [checkpoint])
    checkpoint.unlink()


def write_npz(path, state):
    np.savez(path, **state)


@dataclass(frozen=True)
class Case:
    """A golden state in a file: how it is written, and which network and source it is loaded with."""

    file: str
    write: Callable
    format: str
    golden: str
    model: str
    source: str
    arguments: dict = field(default_factory=dict)
    scale: int = 1
    output: str = "logits"


BVLC = {"golden": "bvlc_googlenet", "model": "googlenet_bvlc", "source": "caffe"}
BVLC |= {"arguments": {"aux_heads": True}, "scale": 100}
TORCHVISION = {"model": "googlenet_torchvision", "source": "torchvision"}
ODD = {**TORCHVISION, "golden": "torchvision_googlenet_odd", "arguments": {"input_shape": (191, 170, 3)}}
HEADS = {**TORCHVISION, "golden": "torchvision_googlenet", "arguments": {"aux_heads": True}}
SLIM = {"golden": "slim_inception_v1", "model": "googlenet_slim", "source": "slim", "arguments": {"classes": 1001}}
SLIM |= {"output": "logits_1001"}
D2L = {"golden": "d2l_googlenet", "model": "googlenet_d2l", "source": "caffe"}
CASES = [
    Case("slim.tar.gz", write_slim, "tensorflow", **SLIM),
    Case("bvlc.caffemodel", write_caffe, "caffe", **BVLC),
    Case("bvlc_old.caffemodel", functools.partial(write_caffe, old=True), "caffe", **BVLC),
    Case("googlenet.pth", lambda path, state: write_torch(path, state_dict(state)), "pytorch", **HEADS),
    Case(
        "googlenet_old.pth",
        lambda path, state: write_torch(path, {"epoch": 90, "state_dict": state_dict(state)}, old=True),
        "pytorch",
        **ODD,
    ),
    Case("googlenet.safetensors", write_safetensors, "safetensors", **ODD),
    Case("d2l.npz", write_npz, "npz", **D2L),
]


QUICK = ("d2l.npz",)


@pytest.mark.parametrize(
    "case", [pytest.param(one, id=one.file, marks=[] if one.file in QUICK else pytest.mark.slow) for one in CASES]
)
def test_a_published_file_ends_in_the_golden_outputs(case, tmp_path):
    """A file in the publisher's format must give the golden outputs of its network."""
    state, images, expected = golden.load(case.golden)
    if case.golden.startswith("d2l"):
        state = caffe_names_of_d2l(state)
    case.write(tmp_path / case.file, state)
    with open_weights(tmp_path / case.file) as opened:
        assert opened.format == case.format
        shapes = {name: tensor.shape for name, tensor in opened.tensors.items()}
    assert {name: shapes[name] for name in state} == {name: array.shape for name, array in state.items()}
    model = create_model(case.model, classifier_activation=None, **case.arguments)
    load_state(model, read_weights(tmp_path / case.file), case.source)
    assert_golden(model, images * case.scale, expected, case.output)


def assert_golden(model, images, expected, output):
    answers = model(images, training=False)
    answers = answers if isinstance(answers, dict) else {"predictions": answers}
    for key, answer in answers.items():
        right = expected[output if key == "predictions" else key]
        np.testing.assert_allclose(answer, right, rtol=0, atol=TOLERANCE * np.abs(right).max())


@pytest.mark.slow
def test_a_file_of_keras_2_ends_in_the_golden_outputs(tmp_path):
    """All layouts of Keras 2's .h5 can be read: weights, whole models, names under a model's name, and split lists."""
    state, images, expected = golden.load("slim_inception_v1")
    model = create_model("googlenet_slim", classifier_activation=None, classes=1001)
    load_state(model, state, "slim")
    found = []
    for layout in ({}, {"whole_model": True}, {"prefix": "model_1/"}, {"split": True}):
        write_keras_2(tmp_path / "weights.h5", keras_2_layers(model), **layout)
        with open_weights(tmp_path / "weights.h5") as opened:
            assert opened.format == "keras_legacy"
        found.append(read_weights(tmp_path / "weights.h5"))
        assert_same(found[-1], found[0])
    for variable in model.weights:
        variable.assign(np.zeros(variable.shape))
    load_state(model, found[0], "keras_applications")
    assert_golden(model, images, expected, "logits_1001")


TIMM = {"file": "model.safetensors", "write": write_safetensors, "format": "safetensors", "source": "timm"}
SLIM_V2 = {**SLIM, "golden": "slim_inception_v2", "model": "inception_v2"}
FACENET = {"golden": "facenet_inception_resnet_v1", "model": "inception_resnet_v1", "source": "facenet"}
FACENET |= {"arguments": {"include_top": False, "pooling": "avg", "input_shape": (160, 160, 3)}, "output": "pooled"}
LARGE = [
    Case(**TIMM, golden="timm_inception_v4", model="inception_v4"),
    Case(**TIMM, golden="timm_inception_resnet_v2", model="inception_resnet_v2"),
    Case("vggface2.pt", functools.partial(write_torch, old=True), "pytorch", **FACENET),
    Case("v2.ckpt.index", lambda path, state: write_checkpoint(path.with_suffix(""), state), "tensorflow", **SLIM_V2),
]


@pytest.mark.slow
@pytest.mark.parametrize("case", LARGE, ids=lambda case: case.golden)
def test_larger_published_files_end_in_the_golden_outputs(case, tmp_path):
    test_a_published_file_ends_in_the_golden_outputs(case, tmp_path)


def half(state):
    return {name: array.astype("float16") for name, array in state.items()}


def write_bfloat16(path, state):
    write_safetensors(path, {name: array.astype(ml_dtypes.bfloat16) for name, array in state.items()})


def write_turned(path, state):
    """Writes arrays in Fortran order and in big-endian byte order."""
    np.savez(path, **{name: np.asfortranarray(array).astype(">f8") for name, array in state.items()})


def write_channels_last(path, state):
    """Writes a network in PyTorch's channels_last, whose kernels are stored in another order than their shapes say."""
    kernels = {name: array for name, array in state.items() if array.ndim == 4}
    turned = {name: array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) for name, array in kernels.items()}
    write_torch(path, {**state, **turned})


@pytest.mark.parametrize(
    ("file", "write", "accuracy"),
    [
        ("w.npz", lambda path, state: np.savez_compressed(path, **state), 0),
        ("half.npz", lambda path, state: np.savez(path, **half(state)), 1e-3),
        ("turned.npz", write_turned, 0),
        ("half.safetensors", lambda path, state: write_safetensors(path, half(state)), 1e-3),
        ("bfloat16.safetensors", write_bfloat16, 1e-2),
        ("w.ckpt.index", lambda path, state: write_checkpoint(path.with_suffix(""), state), 0),
        ("w.ckpt", lambda path, state: write_checkpoint(path, state, version=1), 0),
        ("double.caffemodel", lambda path, state: write_caffe(path, state, double=True), 0),
        ("upgraded.caffemodel", lambda path, state: write_caffe(path, state, old_shapes=True), 0),
        ("half.pth", lambda path, state: write_torch(path, half(state)), 1e-3),
        ("half_old.pth", lambda path, state: write_torch(path, half(state), old=True), 1e-3),
        ("channels_last.pth", write_channels_last, 0),
        ("model.pt", lambda path, state: write_torch(path, {"model": state_dict(state), "optimizer": {"lr": 0.1}}), 0),
        ("no_suffix", write_safetensors, 0),
        ("misnamed.weights.h5", write_torch, 0),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_of_every_kind_are_float32(file, write, accuracy, tmp_path):
    write(tmp_path / file, STATE)
    received = read_weights(tmp_path / file)
    assert set(received) == set(STATE)
    for name, array in STATE.items():
        np.testing.assert_allclose(received[name], array, rtol=accuracy, atol=1e-7 if accuracy else 0)
        assert received[name].dtype == "float32"
        assert received[name].flags.c_contiguous


@pytest.mark.parametrize(
    "options", [{}, {"chunks": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}]
)
def test_hdf5_in_pieces(options, tmp_path):
    """Chunked tensors, as h5repack writes them, can be read; the chunks at the edges reach beyond the tensor."""
    kernel = np.random.default_rng(0).normal(size=(7, 7, 33, 130)).astype(">f4")
    write_keras_2(tmp_path / "w.h5", {"conv": {"conv/kernel:0": kernel}}, **options)
    np.testing.assert_array_equal(read_weights(tmp_path / "w.h5")["conv/kernel"], kernel)


def test_names_of_keras_1(tmp_path):
    """The published VGG16 and VGG19 still have the names of Keras 1, which are numbered and have no slash."""
    kernel, bias = STATE["fc.weight"], STATE["fc.bias"]
    write_keras_2(tmp_path / "w.h5", {"block1_conv1": {"block1_conv1_W_1:0": kernel, "block1_conv1_b_1:0": bias}})
    assert set(read_weights(tmp_path / "w.h5")) == {"block1_conv1/kernel", "block1_conv1/bias"}


def test_a_checkpoint_by_any_of_its_names(tmp_path):
    """A checkpoint is found by its prefix, index or data file, even in a folder whose name looks like a pattern."""
    folder = tmp_path / "run[1]*"
    folder.mkdir()
    slots = {"fc.weight/Adam": STATE["fc.weight"], "beta1_power": np.float32(0.9), "note": np.array(b"text", object)}
    write_checkpoint(folder / "model.ckpt-7", {**STATE, **slots, "global_step": np.int64(7)})
    for name in ("model.ckpt-7", "model.ckpt-7.index", "model.ckpt-7.data-00000-of-00001"):
        received = read_weights(folder / name)
        assert received.pop("global_step") == 7
        assert_same(received, dict(sorted(STATE.items())))
    (folder / "model.ckpt-7.data-00000-of-00001").unlink()
    with pytest.raises(DamagedFileError, match=r"must be in the same folder, in model\.ckpt-7\.data-00000-of-00001"):
        read_weights(folder / "model.ckpt-7")


@pytest.mark.parametrize("old", [False, True], ids=["zip", "old"])
def test_what_pytorch_writes(old, tmp_path):
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    network[0].to(memory_format=torch.channels_last)
    state = {
        **network.state_dict(),
        "part": torch.arange(12.0).reshape(3, 4)[1:, ::2],
        "half": torch.ones(2).bfloat16(),
    }
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "w.pth", _use_new_zipfile_serialization=not old)
    assert_same(read_weights(tmp_path / "w.pth"), {name: tensor.float().numpy() for name, tensor in state.items()})


def test_what_safetensors_writes(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file(STATE, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    received = read_weights(tmp_path / "theirs.safetensors")
    assert_same({name: received[name] for name in STATE}, STATE)
    write_safetensors(tmp_path / "ours.safetensors", STATE)
    assert_same(numpy.load_file(tmp_path / "ours.safetensors"), STATE)


def test_shapes_are_known_before_numbers_are_read(tmp_path):
    """Shapes are known before any numbers are read, so a file can be compared with a model that it may not fit."""
    write_safetensors(tmp_path / "w", STATE)
    with open_weights(tmp_path / "w") as file:
        assert {name: tensor.shape for name, tensor in file.tensors.items()} == {n: a.shape for n, a in STATE.items()}
        np.testing.assert_array_equal(file.tensors["fc.bias"].read(), STATE["fc.bias"])


def test_text_beside_the_weights(tmp_path):
    """Cards are stored in attributes; a global heap without an end would hang the HDF5 library forever."""
    text = "a label of many letters, " * 4000
    write_keras_2(tmp_path / "w.h5", {"conv": {"conv/kernel:0": STATE["conv1.weight"]}})
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file.attrs["card"] = text
    assert read_attribute(tmp_path / "w.h5", "card") == text
    assert read_attribute(tmp_path / "w.h5", "other") is None
    content = bytearray((tmp_path / "w.h5").read_bytes())
    free = content.index(b"GCOL\x01") + 16
    while content[free : free + 2] != b"\0\0":  # skips the objects of the heap to find its free space
        free += 16 + -(-int.from_bytes(content[free + 8 : free + 16], "little") // 8) * 8
    content[free + 8 : free + 16] = bytes(8)
    (tmp_path / "w.h5").write_bytes(content)
    with pytest.raises(DamagedFileError, match="one of its global heaps is invalid"):
        read_attribute(tmp_path / "w.h5", "card")
