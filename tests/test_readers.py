"""A published file of any format gets in as it is, and nothing that it says is believed or run."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import golden
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

# Of the largest output: float32 in another order of additions through 22 layers; as in test_golden.py.
TOLERANCE = 1e-4


def assert_same(received, expected):
    assert list(received) == list(expected)
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
    """TF-slim's tarball: a checkpoint of one file, with the optimizer's slots and the step."""
    slots = {f"{name}/RMSProp": np.ones_like(array) for name, array in state.items() if name.endswith("/biases")}
    checkpoint = path.with_name("inception_v1.ckpt")
    write_checkpoint(checkpoint, {**state, **slots, "global_step": np.int64(7)}, version=1)
    write_tarball(path, [checkpoint])
    checkpoint.unlink()


def write_npz(path, state):
    np.savez(path, **state)


@dataclass(frozen=True)
class Case:
    """A golden state in a file: how it is written, and what reads it."""

    file: str
    write: Callable
    format: str
    golden: str
    model: str
    source: str
    arguments: dict = field(default_factory=dict)
    scale: int = 1


BVLC = {"golden": "bvlc_googlenet", "model": "googlenet_bvlc", "source": "caffe"}
BVLC |= {"arguments": {"aux_heads": True}, "scale": 100}
TORCHVISION = {"model": "googlenet_torchvision", "source": "torchvision"}
ODD = {**TORCHVISION, "golden": "torchvision_googlenet_odd", "arguments": {"input_shape": (191, 170, 3)}}
HEADS = {**TORCHVISION, "golden": "torchvision_googlenet", "arguments": {"aux_heads": True}}
SLIM = {"golden": "slim_inception_v1", "model": "googlenet_slim", "source": "slim", "arguments": {"classes": 1001}}
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


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.file)
def test_a_published_file_ends_in_the_golden_outputs(case, tmp_path):
    """From the bytes as they are published to the answers of the network that they are of."""
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
    assert_golden(model, images * case.scale, expected)


def assert_golden(model, images, expected):
    answers = model(images, training=False)
    answers = answers if isinstance(answers, dict) else {"predictions": answers}
    expected = {
        {"logits": "predictions", "logits_1001": "predictions"}.get(key, key): expected[key] for key in expected
    }
    for key, answer in answers.items():
        tolerance = TOLERANCE * np.abs(expected[key]).max()
        np.testing.assert_allclose(answer, expected[key], rtol=0, atol=tolerance)


@pytest.mark.parametrize("layout", [{}, {"whole_model": True}, {"prefix": "model_1/"}, {"split": True}], ids=str)
def test_a_file_of_keras_2_ends_in_the_golden_outputs(layout, tmp_path):
    """In all the forms that Keras 2 gave its .h5: weights, whole models, under a model's name, lists in parts."""
    state, images, expected = golden.load("slim_inception_v1")
    trained = create_model("googlenet_slim", classifier_activation=None, classes=1001)
    load_state(trained, state, "slim")
    write_keras_2(tmp_path / "weights.h5", keras_2_layers(trained), **layout)
    with open_weights(tmp_path / "weights.h5") as opened:
        assert opened.format == "keras_legacy"
        assert opened.tensors["conv1_7x7/kernel"].shape == (7, 7, 3, 64)
    again = create_model("googlenet_slim", classifier_activation=None, classes=1001)
    load_state(again, read_weights(tmp_path / "weights.h5"), "keras_applications")
    assert_golden(again, images, expected)


TIMM = {"file": "model.safetensors", "write": write_safetensors, "format": "safetensors", "source": "timm"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        Case("model.safetensors", write_safetensors, "safetensors", "timm_inception_v4", "inception_v4", "timm"),
        Case(
            "model.safetensors",
            write_safetensors,
            "safetensors",
            "timm_inception_resnet_v2",
            "inception_resnet_v2",
            "timm",
        ),
        Case(
            "v2.ckpt.index",
            lambda path, state: write_checkpoint(path.with_suffix(""), state),
            "tensorflow",
            "slim_inception_v2",
            "inception_v2_slim",
            "slim",
            {"classes": 1001},
        ),
    ],
    ids=lambda case: case.golden,
)
def test_larger_published_files_end_in_the_golden_outputs(case, tmp_path):
    test_a_published_file_ends_in_the_golden_outputs(case, tmp_path)
