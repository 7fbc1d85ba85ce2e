"""Tests that the weights of the package are as the table describes them and load into the right models."""

import dataclasses
import hashlib
import json
import math
import re

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import GoogLeNet, create_model, decode_predictions, list_models, model_record, open_weights
from googlenet_keras.commands import describe, export
from googlenet_keras.data import open_dataset
from googlenet_keras.deploy import Classifier
from googlenet_keras.weights import PUBLISHED, SOURCES, catalogue, list_weights, shrink_weights
from googlenet_keras.weights.published import find_published

MOST_BYTES = 13_000_000
SHIPPED = [one for one in PUBLISHED if one.url is None]
CARD = SHIPPED[0].card()
SHAPE = CARD.input_shape


@pytest.fixture(scope="module")
def model():
    return create_model("googlenet_bn", weights="fashion_mnist")


@pytest.fixture(scope="module")
def file(root):
    (record,) = list_weights("googlenet_bn")
    return root / "googlenet_keras" / "assets" / record.file


@pytest.fixture(scope="module")
def sample(root):
    """Returns the unprocessed images of the test split, (128, 28, 28, 1), and their labels."""
    split = open_dataset("fashion_mnist", root / "tests" / "data" / "fashion_mnist_sample").split("test")
    examples = list(split.images())
    return np.stack([one["image"] for one in examples]), np.stack([one["label"] for one in examples])


@pytest.mark.parametrize("record", SHIPPED, ids=lambda record: f"{record.model}-{record.name}")
def test_what_is_shipped_is_what_the_table_says(record, root):
    assets = root / "googlenet_keras" / "assets"
    content = (assets / record.file).read_bytes()
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == record.checksum
    assert len(content) <= MOST_BYTES
    card = record.card()
    assert card.model == record.model in list_models()
    assert card.labels == tuple((assets / f"{record.name}_labels.txt").read_text().splitlines())
    assert all((card.source, card.licence, card.images))


def test_every_asset_has_a_source_and_a_licence(root):
    """Whoever redistributes the package finds the source and the licence of each of its files."""
    assets = root / "googlenet_keras" / "assets"
    lines = (assets / "SOURCES.md").read_text().splitlines()
    rows = [line.split("|")[1:-1] for line in lines if line.startswith("| `")]
    assert all(cell.strip() for row in rows for cell in row)
    assert {row[0].strip(" `") for row in rows} == {file.name for file in assets.iterdir()} - {"SOURCES.md"}


def test_accuracy_is_as_published(model, sample):
    """The accuracy on 128 of the 10,000 test images is the published one, within four standard deviations."""
    images, labels = sample
    pixels = tf.image.resize(images, SHAPE[:2])
    answers = model(CARD.preprocessing(pixels), training=False)
    deviation = math.sqrt(CARD.accuracy * (1 - CARD.accuracy) / len(labels))
    assert CARD.accuracy > 0.9
    assert np.mean(np.argmax(answers, axis=-1) == labels) == pytest.approx(CARD.accuracy, abs=4 * deviation)


def test_model_is_as_the_weights_were_trained(model):
    assert model.input.shape == (None, *SHAPE)
    assert model.output.shape == (None, 10)
    assert {variable.dtype for variable in model.weights} == {"float32"}
    assert CARD.preprocessing.crop_fraction == 1
    # All other settings of the preprocessing are those of the model.
    assert dataclasses.replace(CARD.preprocessing, crop_fraction=0.875) == model_record("googlenet_bn").preprocessing


@pytest.mark.parametrize(
    ("arguments", "input_shape", "output_shape"),
    [
        ({"input_shape": None}, SHAPE, (10,)),
        pytest.param({"input_shape": (96, 96, 1), "classes": 10}, (96, 96, 1), (10,), marks=pytest.mark.slow),
        pytest.param({"include_top": False}, SHAPE, (SHAPE[0] // 32, SHAPE[0] // 32, 1024), marks=pytest.mark.slow),
        ({"include_top": False, "classes": 7, "pooling": "avg", "input_shape": (32, 32, 1)}, (32, 32, 1), (1024,)),
        pytest.param(
            *({"include_top": False, "input_shape": (None, None, 1)}, (None, None, 1), (None, None, 1024)),
            marks=pytest.mark.slow,
        ),
        ({"dtype": "mixed_bfloat16"}, SHAPE, (10,)),
    ],
    ids=str,
)
def test_other_models_of_these_weights(model, arguments, input_shape, output_shape):
    other = create_model("googlenet_bn", weights="fashion_mnist", **arguments)
    assert other.input.shape[1:] == input_shape
    assert other.output.shape[1:] == output_shape
    for ours, theirs in zip(other.weights, model.weights, strict=False):
        np.testing.assert_array_equal(ours, theirs)


def test_the_factory_itself_and_an_input_with_a_past(model, sample):
    """A model may turn colours into grey first: the weights need one channel, whatever the model's own input has."""
    colours = keras.Input((*SHAPE[:2], 3))
    grey = keras.ops.mean(colours, axis=-1, keepdims=True)
    other = GoogLeNet(variant="bn", weights="fashion_mnist", classes=10, input_tensor=grey, name="mine")
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE[:2], 3)).astype("float32")
    np.testing.assert_allclose(other(images), model(images.mean(axis=-1, keepdims=True)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("googlenet_bn", {"classes": 1000}, "belong to a network with 10 classes: .* Received: 1000 classes"),
        ("googlenet_bn", {"input_shape": (*SHAPE[:2], 3)}, "input channels is 1: .* Received: 3 channels"),
        (
            "googlenet_bn",
            {"weights": "imagenet22k"},
            "published weights are 'fashion_mnist' of googlenet_bn. Received",
        ),
        ("googlenet_bn", {"weights": "imagenet22k"}, "no weights of googlenet_bn of that name, and no such file"),
        (
            "nin",
            {"weights": "resnet"},
            "published weights are 'fashion_mnist' of googlenet_bn, 'imagenet/slim' of ",
        ),
        ("vgg16", {}, "belong to another network: build googlenet_bn. Received: 'fashion_mnist' for vgg16"),
        ("googlenet", {"classes": 10}, "belong to another network: build googlenet_bn. Received: 'fashion_mnist'"),
        ("googlenet", {"weights": "imagenet/bvlc"}, "build googlenet_bvlc. Received: 'imagenet/bvlc' for googlenet"),
        ("googlenet", {"weights": "imagenet"}, "build googlenet_slim or googlenet_bvlc or googlenet_torchvision. Rec"),
        ("inception_v3", {"weights": "imagenet/timm"}, "build inception_v4 or inception_resnet_v2. Received"),
        ("vgg11", {"weights": "imagenet"}, "build vgg16 or vgg19. Received|build googlenet_slim or "),
    ],
)
def test_what_the_weights_are_not_for(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        create_model(name, **{"weights": "fashion_mnist", **arguments})
    assert "\n" not in str(error.value)


def test_every_row_is_whole():
    """A mistake in a row would be found by the first user who has waited for 500 MB."""
    rows = [one for one in PUBLISHED if one.url is not None]
    assert len({(one.model, one.name) for one in rows}) == len(rows)
    assert len({one.file for one in rows}) == len(rows)
    digits = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96}
    for one in rows:
        record = model_record(one.model)
        algorithm, _, value = one.checksum.partition(":")
        # torchvision publishes only the first eight digits, at the end of the file name.
        assert len(value) == digits[algorithm] or one.file.endswith(f"-{value}.pth")
        assert re.fullmatch("[0-9a-f]+", value)
        assert all(url.startswith(("http://", "https://")) for url in (one.url, *one.mirrors))
        assert all(url.endswith(one.file) for url in one.mirrors)
        assert one.source in SOURCES
        assert one.licence
        # Weights from other publishers may need other preprocessing; all others must use that of the network.
        others = {("vgg16", "torchvision"), ("vgg19", "torchvision"), ("inception_resnet_v2", "timm")}
        others |= {("inception_resnet_v1", "facenet")}
        assert (one.preprocessing == record.preprocessing) == ((one.model, one.source) not in others)
        if one.top1 is not None:
            assert 0.5 < one.top1 < one.top5 < 1


@pytest.mark.parametrize(
    ("model", "name", "meant"),
    [
        ("googlenet_slim", "imagenet", "imagenet/slim"),
        ("googlenet_bvlc", "imagenet", "imagenet/bvlc"),
        ("googlenet_torchvision", "imagenet", "imagenet/torchvision"),
        ("inception_v3", "imagenet", "imagenet/keras"),
        ("inception_v4", "imagenet/timm", "imagenet/timm"),
        ("vgg16", "imagenet", "imagenet/keras"),
        ("inception_resnet_v1", "vggface2", "vggface2"),
        (None, "vggface2", "vggface2"),
    ],
)
def test_what_a_name_means(model, name, meant):
    assert find_published(name, model).name == meant


def test_a_name_that_several_networks_have():
    with pytest.raises(ValueError, match=r"say which \(--model\): googlenet_slim, googlenet_bvlc, .*'imagenet'"):
        find_published("imagenet")


def test_the_table_is_printed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert describe.main(["--weights"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"imagenet/bvlc\s+googlenet_bvlc\s+68.93%\s+89.14%\s+54\s+unrestricted use", printed)
    assert describe.main(["--weights", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [one.name for one in list_weights()]
    assert all(row["checksum"] and row["file"] for row in rows)
    assert describe.main(["--weights", "--bottlenecks"]) == 2


def test_imagenets_names():
    """The first of 1001 classes is the background; if ignored, every class would get its neighbour's name."""
    probabilities = np.zeros((2, 1000))
    probabilities[0, 0], probabilities[1, [999, 1]] = 1, [0.7, 0.3]
    (first,), (second,) = decode_predictions(probabilities, top=1)
    assert (first.label, first.index, first.probability) == ("tench", 0, 1)
    assert (second.label, second.probability) == ("toilet tissue", 0.7)
    with_background = np.concatenate([np.zeros((2, 1)), probabilities], axis=1)
    found = decode_predictions(with_background, top=2)
    assert [one.label for one in found[1]] == ["toilet tissue", "goldfish"]
    assert decode_predictions(np.eye(1001)[:1], top=1)[0][0].label == "background"
    assert decode_predictions(np.array([[0.1, 0.9]]), labels=["cat", "dog"])[0][0].label == "dog"
    for wrong in (np.zeros(1000), np.zeros((1, 10))):
        with pytest.raises(ValueError, match="Received"):
            decode_predictions(wrong)


@pytest.mark.parametrize("change", [{"checksum": f"sha256:{'0' * 64}"}, {"file": "missing.weights.h5"}], ids=str)
def test_another_file_is_not_loaded(monkeypatch, change):
    monkeypatch.setattr(catalogue, "PUBLISHED", (dataclasses.replace(PUBLISHED[0], **change),))
    with pytest.raises(ValueError, match="missing or damaged; reinstall the package"):
        create_model("googlenet_bn", weights="fashion_mnist")


@pytest.mark.slow
def test_shrinking_halves_kernels_and_keeps_the_rest(tmp_path):
    network = {"name": "vgg11_bn", "width": 1 / 4, "input_shape": (32, 32, 1), "classes": 3}
    trained = create_model(**network)
    normalization = trained.get_layer("block1_conv1_bn")
    normalization.moving_variance.assign(np.full(16, 1e6))  # the largest float16 is 65504
    trained.compile("adam")  # so that the file contains an optimizer's state, which the small one must not
    trained.optimizer.build(trained.trainable_variables)
    whole, small = tmp_path / "whole.weights.h5", tmp_path / "small.weights.h5"
    trained.save_weights(whole)
    shrink_weights(whole, small)
    assert small.stat().st_size < 0.55 * 4 * trained.count_params()
    again = create_model(**network, weights=small)
    by_keras = create_model(**network)
    by_keras.load_weights(small)
    for ours, keras_, theirs in zip(again.weights, by_keras.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, np.float16(theirs) if len(theirs.shape) > 1 else theirs)
        np.testing.assert_array_equal(ours, keras_)
        assert ours.dtype == "float32"
    with open_weights(small) as file:
        assert {str(tensor.dtype) for tensor in file.tensors.values()} == {"float16", "float32"}


def test_shrinking_the_same_gives_the_same_file(file, tmp_path):
    """The table contains the checksum of the file, so shrinking the same weights must give the same bytes."""
    shrink_weights(file, tmp_path / "again.weights.h5")
    assert (tmp_path / "again.weights.h5").read_bytes() == file.read_bytes()


def test_a_failed_shrinking_keeps_the_old_file(tmp_path):
    target = tmp_path / "small.weights.h5"
    target.write_text("old")
    with h5py.File(tmp_path / "large.weights.h5", "w") as large:
        large["layers/conv/vars/0"] = np.full((1, 1, 1, 1), 1e6, "float32")
    (tmp_path / "text.weights.h5").write_text("x")
    with pytest.raises(ValueError, match="too large for float16"):
        shrink_weights(tmp_path / "large.weights.h5", target)
    with pytest.raises(OSError, match="file signature not found"):
        shrink_weights(tmp_path / "text.weights.h5", target)
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"small.weights.h5", "large.weights.h5", "text.weights.h5"}


@pytest.mark.slow
def test_export(sample, tmp_path):
    """The exported SavedModel has the size, labels and uncropped images of the weights, and the model's predictions."""
    command = ["--model", "googlenet_bn", "--weights", "fashion_mnist", "--output", str(tmp_path)]
    assert export.main(command) == 0
    card = json.loads((tmp_path / "googlenet_bn.json").read_text())
    digest = PUBLISHED[0].checksum.partition(":")[2]
    assert {"name": "fashion_mnist", "sha256": digest, "accuracy": CARD.accuracy}.items() <= card["weights"].items()
    assert card["labels"][0] == "T-shirt/top"
    assert card["input"]["shape"] == list(SHAPE)
    assert card["input"]["preprocessing"]["crop_fraction"] == 1
    exported = Classifier.load(tmp_path / "googlenet_bn")
    built = Classifier.build("googlenet_bn", "fashion_mnist")
    encoded = tf.io.encode_png(sample[0][0]).numpy()
    assert exported.labels == built.labels
    for ours, theirs in zip(exported.classify(encoded), built.classify(encoded), strict=True):
        assert ours.label == theirs.label
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-5)
