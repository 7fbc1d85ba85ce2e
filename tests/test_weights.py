"""Weights get in whole or not at all, and the message says why not."""

import logging
import zipfile

import golden
import keras
import numpy as np
import pytest

from googlenet_keras import GoogLeNet, create_model, load_state, load_weights, read_weights

SMALL = {"input_shape": (65, 65, 3), "classes": 5}


def caffe_state(**arguments):
    """A Caffe state of random numbers that fits a model of these arguments."""
    model = create_model("googlenet_bvlc", **arguments)
    state = {}
    for layer in model.layers:
        name = {
            "conv1_7x7": "conv1/7x7_s2",
            "predictions": "loss3/classifier",
            **{f"aux{i}{ours}": f"loss{i}/{caffes}" for i in (1, 2) for ours, caffes in AUX_LAYERS},
        }.get(layer.name, layer.name.replace("conv2_", "conv2/"))
        if name.startswith("inception"):
            name = "/".join(name.replace("inception_", "inception-").split("_", 1)).replace("inception-", "inception_")
        for variable, leaf in zip(layer.weights, ("weight", "bias"), strict=False):
            shape = variable.shape
            shape = (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape[::-1]
            state[f"{name}.{leaf}"] = golden.tensor(f"{name}.{leaf}", shape, 0)
    return model, state


AUX_LAYERS = [("_conv", "conv"), ("_fc", "fc"), ("", "classifier")]


def test_flattened_map_turns_with_its_kernel():
    """The heads' dense layer sees channels last here and first in Caffe: a plain transpose would scramble it."""
    model, state = caffe_state(input_shape=(224, 224, 3), classes=5, aux_heads=True)
    load_state(model, state, "caffe")
    kernel = np.asarray(model.get_layer("aux1_fc").kernel).reshape(4, 4, 128, 1024)
    theirs = state["loss1/fc.weight"].reshape(1024, 128, 4, 4)
    np.testing.assert_array_equal(kernel[1, 2, 3, 4], theirs[4, 3, 1, 2])


def test_parts_left_out_are_passed_over_in_one_line(caplog):
    _, state = caffe_state(**SMALL, aux_heads=True)
    model = create_model("googlenet_bvlc", include_top=False, input_shape=SMALL["input_shape"])
    with caplog.at_level(logging.INFO):
        load_state(model, state, "caffe")
    (record,) = caplog.records
    assert "left out 14 tensors" in record.getMessage()
    np.testing.assert_array_equal(model.get_layer("conv1_7x7").bias, state["conv1/7x7_s2.bias"])


def test_everything_wrong_is_in_one_message_and_nothing_is_loaded():
    model, state = caffe_state(**SMALL)
    before = model.get_weights()
    del state["inception_3a/1x1.weight"]
    del state["conv2/3x3.bias"]
    state["inception_3b/5x5.weight"] = np.zeros((96, 32, 3, 3), "float32")
    state["inception_9z/1x1.weight"] = np.zeros(1, "float32")
    with pytest.raises(ValueError, match="does not fit") as error:
        load_state(model, state, "caffe")
    message = str(error.value)
    assert "2 missing (" in message
    assert "inception_3a/1x1.weight" in message
    assert "conv2/3x3.bias" in message
    assert "1 unexpected (inception_9z/1x1.weight)" in message
    assert (
        "1 of another shape (inception_3b/5x5.weight (3, 3, 32, 96) for inception_3b_5x5/kernel (5, 5, 32, 96))"
        in message
    )
    for ours, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, old)


def test_a_head_that_the_model_has_must_be_there():
    state, _, _ = golden.load("torchvision_googlenet_odd")  # without heads
    model = create_model("googlenet_torchvision", aux_heads=True)
    with pytest.raises(ValueError, match=r"missing \(aux1\.conv\.conv\.weight"):
        load_state(model, state, "torchvision")


def test_bookkeeping_is_no_weight(caplog):
    state, _, _ = golden.load("slim_inception_v1")
    state["global_step"] = np.int64(7)
    load_state(create_model("googlenet_slim"), state, "slim")
    assert not caplog.records


def test_slim_without_gamma_fills_a_scale():
    """TF-slim learns no factor; a normalization that has one must then multiply by 1."""
    state, images, expected = golden.load("slim_inception_v1")
    model = GoogLeNet(variant="slim", classes=1001, classifier_activation=None)
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["scale"] = True
    model = keras.Model.from_config(config)
    load_state(model, state, "slim")
    np.testing.assert_allclose(
        model(images, training=False), expected["logits_1001"], atol=1e-4 * np.abs(expected["logits_1001"]).max()
    )


def test_unknown_source_and_foreign_network():
    model = GoogLeNet(**SMALL)
    with pytest.raises(ValueError, match="`source` must be one of caffe, facenet, keras"):
        load_state(model, {}, "pytorch")
    with pytest.raises(ValueError, match="no counterpart of layer 'dense"):
        load_state(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")]), {}, "caffe")
    with pytest.raises(ValueError, match="no batch normalization"):
        load_state(create_model("googlenet_bn", **SMALL), {}, "caffe")


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras"])
def test_training_weights_serve_a_network_without_heads(tmp_path, suffix):
    trained = create_model("googlenet_bn", **SMALL, aux_heads=True)
    trained.compile("adam")  # an optimizer's state is in the file too
    file = tmp_path / f"trained{suffix}"
    (trained.save_weights if suffix == ".weights.h5" else trained.save)(file)
    model = create_model("googlenet_bn", **SMALL, weights=file)
    images = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3))
    np.testing.assert_array_equal(model(images), trained(images)["predictions"])


def test_half_precision_file(tmp_path):
    model = create_model("googlenet", **SMALL, dtype="bfloat16")
    model.save_weights(tmp_path / "half.weights.h5")
    again = create_model("googlenet", **SMALL, dtype="bfloat16", weights=tmp_path / "half.weights.h5")
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def broken_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        (
            "weights.pth",
            lambda path: path.write_text("x"),
            r"read from \*.weights.h5 and \*.keras of Keras 3; .*\*.pth",
        ),
        ("missing.weights.h5", lambda path: None, "no such weight file"),
        ("text.weights.h5", lambda path: path.write_text("x"), "Not a weight file"),
        ("text.keras", lambda path: path.write_text("x"), "Not a weight file"),
        ("empty.keras", broken_zip, "Not a weight file"),
    ],
)
def test_files_that_are_no_weights(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path / name)


def test_truncated_file(tmp_path):
    model = GoogLeNet(**SMALL)
    model.save_weights(tmp_path / "whole.weights.h5")
    whole = (tmp_path / "whole.weights.h5").read_bytes()
    (tmp_path / "part.weights.h5").write_bytes(whole[: len(whole) // 2])
    before = model.get_weights()
    with pytest.raises(ValueError, match="damaged"):
        load_weights(model, tmp_path / "part.weights.h5")
    for ours, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, old)
