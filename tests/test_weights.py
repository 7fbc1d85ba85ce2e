"""Tests that weights are loaded completely or not at all, and that the message says why not."""

import logging
import zipfile

import golden
import keras
import numpy as np
import pytest

from googlenet_keras import GoogLeNet, create_model, load_state, load_weights, read_weights
from googlenet_keras.weights import recognize_source

SMALL = {"input_shape": (65, 65, 3), "classes": 5}


def caffe_state(**arguments):
    """Returns a model with these arguments, and a Caffe state of random numbers that fits it."""
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
    """The heads' dense layer sees channels last here but first in Caffe, so a plain transpose would scramble it."""
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


@pytest.mark.parametrize(
    ("file", "source"),
    [
        *((f"slim_inception_{version}", "slim") for version in ("v1", "v2", "v3", "v4", "resnet_v2")),
        *(
            (f"torchvision_{name}", "torchvision")
            for name in ("googlenet", "inception_v3", "alexnet", "vgg11", "vgg13_bn")
        ),
        *((f"timm_inception_{version}", "timm") for version in ("v4", "resnet_v2")),
        ("facenet_inception_resnet_v1", "facenet"),
        ("bvlc_googlenet", "caffe"),
    ],
)
@pytest.mark.parametrize(("before", "behind"), [("", ""), ("module.", ""), ("model_1/", ":0")])
def test_a_source_is_recognized_by_its_names(file, source, before, behind):
    """Users need not know which framework a file comes from, nor what a wrapper added to its names."""
    names, _ = golden.names_and_shapes(file)
    assert recognize_source(f"{before}{name}{behind}" for name in names) == source


@pytest.fixture(scope="module")
def inception_v3():
    """Returns a network whose weights the tests may overwrite."""
    return create_model("inception_v3", input_shape=(75, 75, 3), classes=3)


def test_sources_of_keras_and_of_the_authors_of_vgg(inception_v3):
    model = inception_v3
    assert recognize_source(weight.path for weight in model.weights) == "keras_applications"
    assert recognize_source(f"{layer.name}/0" for layer in model.layers if layer.weights) == "keras"
    assert (
        recognize_source(["block1_conv1/block1_conv1_W_1:0", "block1_conv1/block1_conv1_b_1:0"]) == "keras_applications"
    )
    assert recognize_source(["conv1_1.weight", "conv1_1.bias", "fc8.weight", "fc8.bias"]) == "caffe"


@pytest.mark.parametrize(
    "names", [[], ["layer1.0.conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias"], ["a", "b"]]
)
def test_names_of_no_source(names):
    with pytest.raises(ValueError, match=r"tensors match none of caffe, facenet, keras, .*: give the source"):
        recognize_source(names)


def random_state(model, name=lambda weight: weight.path):
    """Returns random numbers for every weight of a model, under the name that `name` gives it."""
    return {name(weight): golden.tensor(weight.path, tuple(weight.shape), 0) for weight in model.weights}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        (lambda path: f"{path}:0", "keras_applications"),  # Keras 2
        (lambda path: f"model_1/{path}:0", "keras_applications"),  # in another model
        (lambda path: f"classifier/body/{path}", None),
    ],
)
def test_names_that_are_almost_right(name, source, inception_v3):
    """Names of Keras 2 or of an enclosing model must load, not lead to 25,000 characters of missing names."""
    model = inception_v3
    state = random_state(model)
    report = load_state(model, {name(path): array for path, array in state.items()}, source)
    assert report.source == "keras_applications"
    assert report.placed["conv_1a"] == (name("conv_1a/kernel"),)
    for weight in model.weights:
        np.testing.assert_array_equal(weight, state[weight.path])


def test_a_prefix_of_torch():
    state, _, _ = golden.load("torchvision_googlenet_odd")
    model = create_model("googlenet_torchvision")
    load_state(model, {f"module.{name}": array for name, array in state.items()})
    np.testing.assert_array_equal(model.get_layer("predictions").bias, state["fc.bias"])


def test_keras_applications_saved_by_keras_1():
    """The VGG files that keras.applications publishes still have the names of Keras 1."""
    model = create_model("vgg16", input_shape=(32, 32, 3), classes=3, width=1 / 8)
    state = random_state(model)
    letters = {"kernel": "W", "bias": "b"}
    old = {
        f"{layer}/{layer}_{letters[leaf]}_1:0": array
        for (layer, leaf), array in ((path.split("/"), array) for path, array in state.items())
    }
    load_state(model, old)
    np.testing.assert_array_equal(model.get_layer("fc2").kernel, state["fc2/kernel"])


@pytest.mark.slow
def test_vgg_of_its_authors():
    """The same network gets the same weights from Caffe's names and from torchvision's, dense kernels included."""
    state, _, _ = golden.load("torchvision_vgg11")
    convolutions = [
        f"conv{block}_{i + 1}" for block, count in enumerate((1, 1, 2, 2, 2), start=1) for i in range(count)
    ]
    places = {0: 0, 3: 1, 6: 2, 8: 3, 11: 4, 13: 5, 16: 6, 18: 7}
    layers = {f"features.{place}": convolutions[index] for place, index in places.items()}
    layers |= {"classifier.0": "fc6", "classifier.3": "fc7", "classifier.6": "fc8"}
    caffe = {}
    for name, array in state.items():
        layer, leaf = name.rsplit(".", 1)
        caffe[f"{layers[layer]}.{leaf}"] = array
    ours, theirs = create_model("vgg11"), create_model("vgg11")
    assert load_state(ours, caffe).source == "caffe"
    load_state(theirs, state, "torchvision")
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def with_foreign_head(body, classes=5):
    """Returns the state of a body with a custom head: a dense layer, its normalization and another dense layer."""
    features = body.output.shape[-1]
    return random_state(body) | {
        "dense/kernel": np.zeros((features, 16)),
        "dense/bias": np.zeros(16),
        "batch_normalization/gamma": np.ones(16),
        "batch_normalization/beta": np.zeros(16),
        "batch_normalization/moving_mean": np.zeros(16),
        "batch_normalization/moving_variance": np.ones(16),
        "dense_1/kernel": np.zeros((16, classes)),
        "dense_1/bias": np.zeros(classes),
    }


def test_a_body_takes_a_file_with_another_head(caplog, tiny):
    body = create_model(tiny, include_top=False, input_shape=(32, 32, 3))
    state = with_foreign_head(body)
    report = load_state(body, state)
    (record,) = caplog.records
    assert "a head of 5 classes: left out 8 tensors" in record.getMessage()
    assert len(report.left_out["a head of 5 classes"]) == 8
    np.testing.assert_array_equal(body.get_layer("conv1").kernel, state["conv1/kernel"])


def test_a_network_with_a_top_says_that_the_file_has_another(tiny):
    body = create_model(tiny, include_top=False, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="another head, of 5 classes: build the model with include_top=False"):
        load_state(create_model(tiny, input_shape=(32, 32, 3), classes=5), with_foreign_head(body))


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("a convolution", {"conv2d/kernel": np.zeros((3, 3, 4, 4)), "conv2d/bias": np.zeros(4)}),
        ("the normalization of one", {"conv1_7x7_bn/gamma": np.zeros(64)}),
    ],
)
def test_what_is_no_head_is_not_left_out(name, extra):
    """Only a head may be left out; otherwise the file of a deeper network would seem to fit."""
    body = create_model("googlenet", include_top=False, input_shape=(32, 32, 3))
    with pytest.raises(ValueError, match=f"{len(extra)} unexpected"):
        load_state(body, random_state(body) | extra)


@pytest.mark.slow
def test_a_head_of_other_classes_is_said():
    state = random_state(create_model("googlenet_bn", input_shape=(65, 65, 3), classes=5, aux_heads=True))
    model = create_model("googlenet_bn", input_shape=(65, 65, 3), classes=7, aux_heads=True)
    with pytest.raises(ValueError, match="head is not that of 'googlenet_bn', which has 7 classes: build"):
        load_state(model, state)
    body = create_model("googlenet_bn", include_top=False, input_shape=(65, 65, 3))
    report = load_state(body, state)
    assert {part: len(names) for part, names in report.left_out.items()} == {
        "auxiliary heads": 2 * 9,  # a convolution, its normalization, two dense layers
        "a head of 5 classes": 2,
    }


def numbered(drop):
    """Returns zeros under the names of keras.applications, whose layers are numbered, without the layers in `drop`."""
    theirs = keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=3)
    return {
        weight.path: np.zeros(weight.shape)
        for weight in theirs.weights
        if not any(weight.path.startswith(f"{layer}/") for layer in drop)
    }


@pytest.mark.parametrize("missing", ["conv2d", pytest.param("batch_normalization", marks=pytest.mark.slow)])
def test_the_first_numbered_layer_that_differs_is_named(missing, inception_v3):
    """A missing layer shifts the numbers of all later layers, so the message must name the first that differs."""
    model = inception_v3
    keras.backend.clear_session()
    with pytest.raises(ValueError, match="numbers 93 layers") as error:
        load_state(model, numbered([f"{missing}_40"]), "keras_applications")
    message = str(error.value)
    # Layer 40 is the first branch of mixed_6c, with 192 filters; without it, layer 41, with 160, takes its place.
    assert f"{missing}_41 is the first" in message
    assert f"up to {missing}_39" in message
    assert "mixed_6c_branch0" in message


@pytest.mark.parametrize(
    "source", ["torchvision", "slim", pytest.param("timm", marks=pytest.mark.slow), "keras", "keras_applications", None]
)
def test_a_message_is_short_however_much_is_wrong(source, network):
    names = {"timm": "inception_v4", "torchvision": "googlenet_torchvision"}
    model = network(names.get(source, "googlenet_slim"), input_shape=(75, 75, 3))
    state = random_state(network("googlenet_bvlc", input_shape=(32, 32, 3)))
    with pytest.raises(ValueError, match="does not fit") as error:
        load_state(model, state, source)
    assert len(str(error.value)) < 15 * 80
    assert "\n" not in str(error.value)
    assert " others" in str(error.value)


class Unread:
    """Imitates a tensor of a file as a reader returns it."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def read(self):
        return self.array


class Unreadable(Unread):
    def read(self):
        raise AssertionError("it was read")


def test_shapes_are_compared_before_anything_is_read():
    """A file may declare a tensor that fits into no memory, and it must be refused before it is read."""
    model, state = caffe_state(**SMALL)
    lazy = {name: Unreadable(array) for name, array in state.items()}
    lazy["conv2/3x3.weight"].shape = (10**6, 10**6, 3, 3)
    with pytest.raises(ValueError, match=r"1 of another shape \(conv2/3x3.weight"):
        load_state(model, lazy, "caffe")
    load_state(model, {name: Unread(array) for name, array in state.items()}, "caffe")
    np.testing.assert_array_equal(model.get_layer("conv1_7x7").bias, state["conv1/7x7_s2.bias"])


def test_nan_is_refused_and_nothing_is_loaded():
    model, state = caffe_state(**SMALL)
    before = model.get_weights()
    state["loss3/classifier.bias"][0] = np.nan
    with pytest.raises(ValueError, match=r"holds NaN or infinity, in loss3/classifier.bias"):
        load_state(model, state, "caffe")
    for ours, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, old)


def test_bookkeeping_is_no_weight(caplog):
    state, _, _ = golden.load("slim_inception_v1")
    state["global_step"] = np.int64(7)
    load_state(create_model("googlenet_slim"), state, "slim")
    assert not caplog.records


@pytest.mark.slow
def test_slim_without_gamma_fills_a_scale():
    """TF-slim trains no gamma, so a batch normalization that has one must multiply by 1."""
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
def test_training_weights_serve_a_network_without_heads(tmp_path, suffix, tiny):
    trained = create_model(tiny, **SMALL, aux_heads=True)
    trained.compile("adam")  # so that the file contains the state of an optimizer too
    file = tmp_path / f"trained{suffix}"
    (trained.save_weights if suffix == ".weights.h5" else trained.save)(file)
    model = create_model(tiny, **SMALL, weights=file)
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
