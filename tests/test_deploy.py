"""Deployed networks compute what was trained: optimized, in the files of every runtime, and below float32."""

import importlib
import json

import keras
import numpy as np
import pytest
from keras import layers

from googlenet_keras import Classifier, create_model, evaluate, list_models, model_record, optimize_for_inference
from googlenet_keras.commands import evaluate as evaluate_command, export, predict
from googlenet_keras.deploy import artifacts, export_model, open_artifact, read_artifact_card
from googlenet_keras.deploy.choice import best
from googlenet_keras.layers import LocalResponseNormalization
from googlenet_keras.models import serving_model

pytestmark = pytest.mark.usefixtures("tiny", "forked_verification")
# A fraction of the largest output. float32 has 7 digits, and folding changes the order of the sums.
TOLERANCE = 1e-5
SMALL = "mnist_inception"
QUICK = ("mnist_inception", "mnist_residual")


def trained(name, **arguments):
    """Returns a network whose batch normalizations have other moments than the initial ones."""
    model = create_model(name, **arguments)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            count = layer.moving_mean.shape[0]
            layer.moving_mean.assign(rng.normal(0, 0.1, count))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, count))
    return model


def assert_equal_answers(model, other, images, other_images=None):
    expected = model(images, training=False)
    found = other(images if other_images is None else other_images, training=False)
    keras.tree.assert_same_structure(expected, found)
    for one, another in zip(keras.tree.flatten(expected), keras.tree.flatten(found), strict=True):
        np.testing.assert_allclose(another, one, rtol=0, atol=TOLERANCE * np.abs(one).max())


def operations(model):
    return [operation for operation in model.operations if not isinstance(operation, layers.InputLayer)]


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]
)
def test_optimized_network_answers_the_same(name):
    """The outputs stay the same at an odd width, with folded preprocessing, and with merged 1x1 convolutions."""
    record = model_record(name)
    size = max(32, record.minimum_size)
    shape = (size, size + 1, record.input_shape[-1])
    served = serving_model(trained(name, input_shape=shape))
    rng = np.random.default_rng(0)
    said = []
    optimized = optimize_for_inference(served, report=said.append)
    assert_equal_answers(served, optimized, rng.uniform(-1, 1, (2, *shape)).astype("float32"))
    assert len(said) == 1
    assert not [one for one in operations(optimized) if type(one).__module__.startswith("googlenet_keras")]
    assert not [one for one in operations(optimized) if isinstance(one, layers.BatchNormalization | layers.Dropout)]
    pixels = rng.integers(0, 256, (2, *shape)).astype("float32")
    folded = optimize_for_inference(served, preprocessing=record.preprocessing, merge=True)
    assert_equal_answers(served, folded, record.preprocessing(pixels), pixels)


@pytest.mark.slow
def test_optimized_network_loads_where_the_package_is_not(tmp_path, python):
    """This includes networks with local response normalization, which Keras does not have."""
    inputs = keras.Input((8, 8, 80))
    outputs = LocalResponseNormalization()(layers.Conv2D(80, 1)(inputs))
    optimized = optimize_for_inference(keras.Model(inputs, outputs))
    optimized.save(tmp_path / "network.keras")
    script = "import sys, keras; keras.saving.load_model(sys.argv[1]); assert 'googlenet_keras' not in sys.modules"
    process = python("-P", "-c", script, tmp_path / "network.keras", PYTHONPATH="")
    assert process.returncode == 0, process.stderr


def test_auxiliary_heads_and_the_model_itself(tiny):
    model = create_model(tiny, aux_heads=True)
    before = model.get_weights()
    optimized = optimize_for_inference(model)
    images = np.random.default_rng(0).uniform(0, 1, (2, 32, 32, 1)).astype("float32")
    np.testing.assert_allclose(optimized(images), model(images)["predictions"], rtol=0, atol=1e-5)
    assert "aux1" not in [layer.name for layer in optimized.layers]
    for one, another in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, another)


def normalized(x):
    """Applies a batch normalization that changes its input."""
    layer = layers.BatchNormalization()
    x = layer(x)
    layer.set_weights([np.random.default_rng(seed).uniform(0.5, 2, w.shape) for seed, w in enumerate(layer.weights)])
    return x


def conv_with_padding(x, strides, padding):
    return layers.Conv2D(4, 3, strides=strides)(layers.ZeroPadding2D(padding)(x))


def pool_with_padding(x, *, relu):
    x = layers.Conv2D(4, 3, padding="same", activation="relu" if relu else None)(x)
    return layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))


def called_twice(x):
    conv = layers.Conv2D(3, 3, padding="same")
    return layers.Concatenate()([layers.ReLU()(conv(x)), normalized(conv(conv(x)))])


def read_twice(x):
    x = layers.Conv2D(4, 3)(x)
    return layers.Concatenate()([x, normalized(x), layers.ReLU()(x)])


# For each case: a function that builds the layers, an even or odd image size, and the number of layers that are left
# after optimization, without the input.
CASES = {
    "convolution, normalization, ReLU": (lambda x: layers.ReLU()(normalized(layers.Conv2D(4, 3)(x))), 16, 1),
    "ReLU that ends at 6": (lambda x: layers.ReLU(6)(normalized(layers.Conv2D(4, 3)(x))), 16, 2),
    "leaky ReLU": (lambda x: layers.ReLU(negative_slope=0.1)(layers.Conv2D(4, 3)(x)), 16, 2),
    "normalization behind the ReLU": (lambda x: normalized(layers.Conv2D(4, 3, activation="relu")(x)), 16, 2),
    "dense": (lambda x: normalized(layers.Dense(4)(layers.Flatten()(x))), 16, 2),
    "separable": (lambda x: normalized(layers.SeparableConv2D(4, 3, depth_multiplier=2)(x)), 16, 1),
    "padding as same": (lambda x: conv_with_padding(x, 1, 1), 16, 1),
    "padding at stride 2, even": (lambda x: conv_with_padding(x, 2, 1), 16, 2),
    "padding at stride 2, odd": (lambda x: conv_with_padding(x, 2, 1), 17, 1),
    "pool in ceil mode, even": (lambda x: pool_with_padding(x, relu=True), 16, 2),
    "pool in ceil mode, odd": (lambda x: pool_with_padding(x, relu=True), 17, 2),
    "zeros that may win": (lambda x: pool_with_padding(x, relu=False), 16, 3),
    "average pool, then fewer channels": (
        lambda x: layers.Conv2D(2, 1, activation="relu")(layers.AveragePooling2D(3, 1, padding="same")(x)),
        16,
        3,
    ),
    "average pool, then more channels": (
        lambda x: layers.Conv2D(4, 1, activation="relu")(layers.AveragePooling2D(3, 1, padding="same")(x)),
        16,
        2,
    ),
    "layer called twice": (called_twice, 16, 4),
    "tensor read twice": (read_twice, 16, 4),
    "noise and dropout": (lambda x: layers.GaussianNoise(0.1)(layers.Dropout(0.5)(layers.Conv2D(4, 3)(x))), 16, 1),
    "nested model": (lambda x: inner_model()(x), 16, 1),  # noqa: PLW0108 (built anew for each case)
}


def inner_model():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, layers.ReLU()(normalized(layers.Conv2D(4, 3)(inputs))))


@pytest.mark.parametrize("case", CASES)
def test_what_is_folded_and_what_is_not(case):
    build, size, left = CASES[case]
    inputs = keras.Input((size, size, 3))
    model = keras.Model(inputs, build(inputs))
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(np.random.default_rng(1).uniform(-1, 1, layer.bias.shape))
    optimized = optimize_for_inference(model)
    assert len(operations(optimized)) == left
    assert_equal_answers(model, optimized, np.random.default_rng(0).normal(size=(2, size, size, 3)).astype("float32"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, forked_verification):
    """Exports a small network in all formats, and returns the folder."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    pytest.importorskip("openvino")
    pytest.importorskip("ai_edge_litert")
    folder = tmp_path_factory.mktemp("formats")
    flags = ["--output", str(folder), "--formats", "saved_model", "onnx", "litert", "openvino"]
    assert export.main(["--model", SMALL, "--serving-version", "3", *flags]) == 0
    return folder


ALL = (f"{SMALL}/3", f"{SMALL}.onnx", f"{SMALL}.tflite", f"{SMALL}.xml")


@pytest.mark.slow
def test_card_tells_of_every_artifact(exported):
    card = json.loads((exported / f"{SMALL}.json").read_text())
    assert [one["file"] for one in card["artifacts"]] == list(ALL)
    assert "multiply-adds" in card["optimization"]
    for one in card["artifacts"]:
        assert set(one["seconds"]) == {"1", "3"}
        assert one["bytes"] > 50_000
        assert max(one.get("largest_difference", {"": 0}).values()) <= TOLERANCE
    for one in card["artifacts"][1:]:
        assert one["first_answer"] > 0
        assert one["peak_memory"] > one["bytes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_artifact_is_asked_and_measured_by_its_path_alone(name, exported, root, capsys):
    """Every artifact gives the predictions and outputs of the SavedModel."""
    path = exported / name
    photograph = root / "googlenet_keras" / "assets" / "grace_hopper.jpg"
    assert predict.main([str(path), str(photograph), "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    expected = Classifier.load(exported / ALL[0]).classify(photograph.read_bytes())
    assert [one["label"] for one in answer["predictions"]] == [one.label for one in expected]
    probabilities = [one["probability"] for one in answer["predictions"]]
    assert probabilities == pytest.approx([one.probability for one in expected], abs=TOLERANCE)
    card = read_artifact_card(path)
    assert card["model"] == SMALL
    images = np.random.default_rng(0).uniform(0, 1, (2, *card["input_shape"])).astype("float32")
    received = open_artifact(path)(images)["probabilities"]
    np.testing.assert_allclose(received, open_artifact(exported / ALL[0])(images)["probabilities"], atol=TOLERANCE)


@pytest.mark.slow
def test_an_export_replaces_the_one_before_it_whole(tmp_path, capsys):
    """No file of an older export is left beside a new card that does not list it."""
    pytest.importorskip("tf2onnx")
    flags = ["--model", SMALL, "--output", str(tmp_path)]
    assert export.main([*flags, "--formats", "onnx"]) == 0
    assert export.main(flags) == 2
    assert "use --force to replace it" in capsys.readouterr().err
    assert export.main([*flags, "--force"]) == 0
    assert not (tmp_path / f"{SMALL}.onnx").exists()
    assert (tmp_path / SMALL / "saved_model.pb").exists()


FACTS = [
    {"file": "a", "bytes": 3_000_000, "seconds": {"1": 0.030, "3": 0.060}},
    {"file": "b", "bytes": 2_000_000, "seconds": {"1": 0.025, "3": 0.072}},
    {
        "file": "c",
        "bytes": 9_000_000,
        "seconds": {"1": 0.026, "3": 0.090},
        "accuracy": {"accuracy": 0.94, "before": 0.943},
    },
    {
        "file": "d",
        "bytes": 1_000_000,
        "seconds": {"1": 0.001, "3": 0.003},
        "accuracy": {"accuracy": 0.93, "before": 0.943},
    },
]


@pytest.mark.parametrize(
    ("goal", "index", "compared"),
    [
        ("latency", 1, "in ms for one image: b 25.0, c 26.0, a 30.0, d 1.0 (loses accuracy)"),
        ("throughput", 0, "in ms per image in a batch: a 20.0, b 24.0, c 26.0, d 1.0 (loses accuracy)"),
        ("size", 1, "in MB: b 2.0, a 3.0, c 9.0, d 1.0 (loses accuracy)"),
    ],
)
def test_the_best_artifact_by_what_was_measured(goal, index, compared):
    """A user gets the best file for the goal, but not one that has clearly lost accuracy."""
    assert best(FACTS, goal) == (index, f"chosen for {goal}, {compared}")


@pytest.mark.slow
def test_only_the_best_is_kept(tmp_path, capsys):
    """One file is left to deploy, with a card that lists the others; the files of the previous export are deleted."""
    pytest.importorskip("tf2onnx")
    flags = ["--model", SMALL, "--output", str(tmp_path), "--formats", "saved_model", "onnx"]
    assert export.main(flags) == 0
    assert export.main([*flags, "--precision", "float32", "float16", "--optimize-for", "size", "--force"]) == 0
    assert "chosen for size, in MB: " in capsys.readouterr().out
    card = json.loads((tmp_path / f"{SMALL}.json").read_text())
    assert [one["file"] for one in card["artifacts"]] == [f"{SMALL}_float16.onnx"]
    assert card["chosen"]["for"] == "size"
    assert {one["file"] for one in card["chosen"]["among"]} == {SMALL, f"{SMALL}.onnx", f"{SMALL}_float16.onnx"}
    assert [path.name for path in tmp_path.iterdir() if path.suffix in ("", ".onnx")] == [f"{SMALL}_float16.onnx"]


@pytest.mark.slow
def test_accuracy_of_what_is_deployed(tmp_path, root):
    """A deployed file has the same measured accuracy as the weights, and the card contains the accuracy of int8."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    sample = root / "tests" / "data" / "fashion_mnist_sample"
    labels = root / "googlenet_keras" / "assets" / "fashion_mnist_labels.txt"
    weights = tmp_path / "random.weights.h5"
    create_model(SMALL).save_weights(weights)
    made = export_model(
        SMALL,
        folder=tmp_path,
        weights=weights,
        labels=labels,
        formats=["onnx"],
        precisions=["float32", "int8"],
        calibration="fashion_mnist",
        data_dir=sample,
    )
    assert made.saved_model is None
    assert [path.name for path in made.artifacts] == [f"{SMALL}.onnx", f"{SMALL}_int8.onnx"]
    options = {"dataset": "fashion_mnist", "data_dir": sample}
    expected = evaluate(SMALL, [weights], **options)
    measured = evaluate(None, [made.artifacts[0]], **options)
    assert measured.scores == expected.scores
    plain, quantized = json.loads(made.card.read_text())["artifacts"]
    assert quantized["bytes"] < plain["bytes"] / 2
    assert quantized["accuracy"]["before"] == expected.scores.top1
    assert quantized["accuracy"]["accuracy"] == pytest.approx(expected.scores.top1, abs=0.05)
    assert quantized["accuracy"]["examples"] == expected.scores.examples


@pytest.mark.slow
@pytest.mark.parametrize(
    ("format_name", "precision", "package"),
    [
        ("onnx", "float16", "tf2onnx"),
        ("litert", "float16", "ai_edge_litert"),
        ("litert", "int8", "ai_edge_litert"),
        ("openvino", "bfloat16", "openvino"),
        ("openvino", "float16", "openvino"),
        ("openvino", "int8", "nncf"),
    ],
)
def test_other_precisions(format_name, precision, package, tmp_path, root):
    pytest.importorskip(package)
    sample = root / "tests" / "data" / "fashion_mnist_sample"
    made = export_model(
        SMALL,
        folder=tmp_path,
        formats=[format_name],
        precisions=[precision],
        calibration="fashion_mnist",
        data_dir=sample,
    )
    (fact,) = json.loads(made.card.read_text())["artifacts"]
    assert fact["precision"] == precision
    assert fact["file"] == artifacts.artifact_name(SMALL, format_name, precision) == made.artifacts[0].name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--formats", "onyx"], "must be one of saved_model, onnx, litert, openvino. Received: 'onyx'"),
        (["--precision", "int8"], "int8 needs a format that supports it (onnx, litert, openvino)"),
        (["--formats", "onnx", "--precision", "bfloat16"], "bfloat16 needs a format that supports it (openvino)"),
        (["--formats", "onnx", "--precision", "int8"], "int8 is calibrated on real images"),
        (["--formats", "onnx", "--dtype", "mixed_float16"], "leave --dtype out, and give --precision"),
        (["--serving-version", "-1"], "A version for TensorFlow Serving must be 0 or more"),
        (["--optimize-for", "speed"], "must be one of latency, throughput, size. Received: 'speed'"),
        (["--optimize-for", "size", "--serving-version", "1"], "leave one of them out"),
    ],
)
def test_wrong_use_of_formats(flags, message, tmp_path, capsys):
    pytest.importorskip("tf2onnx")
    assert export.main(["--model", SMALL, "--output", str(tmp_path / "new"), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".xml"])
def test_missing_and_damaged_artifacts_are_one_line(suffix, tmp_path, root, capsys, monkeypatch):
    photograph = str(root / "googlenet_keras" / "assets" / "grace_hopper.jpg")
    damaged = tmp_path / f"damaged{suffix}"

    def said(*arguments):
        assert predict.main([*arguments, photograph]) == 2
        (line,) = [one for one in capsys.readouterr().err.splitlines() if "error:" in one]
        return line

    assert "There is no such artifact" in said(str(damaged))
    damaged.write_bytes(b"damaged")
    pytest.importorskip({".onnx": "onnxruntime", ".tflite": "ai_edge_litert", ".xml": "openvino"}[suffix])
    assert "The artifact is damaged" in said(str(damaged))
    assert evaluate_command.main(["--weights", str(damaged), "--output", str(tmp_path / "out")]) == 2
    assert "has no card of this package" in capsys.readouterr().err

    def import_module(name, package=None):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", import_module)
    assert "pip install 'googlenet-keras[" in said(str(damaged))
