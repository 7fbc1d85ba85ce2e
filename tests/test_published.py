"""Weights that come with the package are what they are said to be, and go into the models that they are for."""

import dataclasses
import hashlib
import json
import math

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import GoogLeNet, create_model, list_models, model_record, open_weights
from googlenet_keras.commands import export
from googlenet_keras.data import open_dataset
from googlenet_keras.deploy import Classifier
from googlenet_keras.weights import PUBLISHED, published, shrink_weights

MOST_BYTES = 13_000_000
CARD = PUBLISHED[0].card()
SHAPE = CARD.input_shape


@pytest.fixture(scope="module")
def model():
    return create_model("googlenet_bn", weights="fashion_mnist")


@pytest.fixture(scope="module")
def file(root):
    (record,) = PUBLISHED
    return root / "googlenet_keras" / "assets" / record.file


@pytest.fixture(scope="module")
def sample(root):
    """Images as they are, (128, 28, 28, 1), and their labels, of the test split."""
    split = open_dataset("fashion_mnist", root / "tests" / "data" / "fashion_mnist_sample").split("test")
    examples = list(split.images())
    return np.stack([one["image"] for one in examples]), np.stack([one["label"] for one in examples])


@pytest.mark.parametrize("record", PUBLISHED, ids=lambda record: f"{record.model}-{record.name}")
def test_what_is_shipped_is_what_the_table_says(record, root):
    assets = root / "googlenet_keras" / "assets"
    content = (assets / record.file).read_bytes()
    assert hashlib.sha256(content).hexdigest() == record.sha256
    assert len(content) <= MOST_BYTES
    card = record.card()
    assert card.model == record.model in list_models()
    assert card.labels == tuple((assets / f"{record.name}_labels.txt").read_text().splitlines())
    assert all((card.source, card.licence, card.images))


def test_accuracy_is_as_published(model, sample):
    """On 128 of the 10,000 images that it was measured on, to four standard deviations of so small a sample."""
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
    # Everything else of the preprocessing is the model's.
    assert dataclasses.replace(CARD.preprocessing, crop_fraction=0.875) == model_record("googlenet_bn").preprocessing


@pytest.mark.parametrize(
    ("arguments", "input_shape", "output_shape"),
    [
        ({"input_shape": None}, SHAPE, (10,)),
        ({"input_shape": (96, 96, 1), "classes": 10}, (96, 96, 1), (10,)),
        ({"include_top": False}, SHAPE, (SHAPE[0] // 32, SHAPE[0] // 32, 1024)),
        ({"include_top": False, "classes": 7, "pooling": "avg", "input_shape": (32, 32, 1)}, (32, 32, 1), (1024,)),
        ({"include_top": False, "input_shape": (None, None, 1)}, (None, None, 1), (None, None, 1024)),
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
    """Colours made grey in the model: the weights see one channel, whatever the model's own input has."""
    colours = keras.Input((*SHAPE[:2], 3))
    grey = keras.ops.mean(colours, axis=-1, keepdims=True)
    other = GoogLeNet(variant="bn", weights="fashion_mnist", classes=10, input_tensor=grey, name="mine")
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE[:2], 3)).astype("float32")
    np.testing.assert_allclose(other(images), model(images.mean(axis=-1, keepdims=True)), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("googlenet_bn", {"classes": 1000}, "are those of 10 classes: .* Received: 1000 classes"),
        ("googlenet_bn", {"input_shape": (*SHAPE[:2], 3)}, "a network that sees 1 channels: .* Received: 3 channels"),
        ("googlenet_bn", {"weights": "imagenet"}, "by name are 'fashion_mnist' of googlenet_bn. Received: 'imagenet'"),
        ("googlenet_bn", {"weights": "imagenet"}, r"files named \*.weights.h5"),
        ("vgg16", {}, "Weights of vgg16 .* are 'fashion_mnist' of googlenet_bn. Received: 'fashion_mnist'"),
        ("googlenet", {"classes": 10}, "Weights of googlenet are read from files"),
    ],
)
def test_what_the_weights_are_not_for(name, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        create_model(name, **{"weights": "fashion_mnist", **arguments})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("change", [{"sha256": "0" * 64}, {"file": "missing.weights.h5"}], ids=str)
def test_another_file_is_not_loaded(monkeypatch, change):
    monkeypatch.setattr(published, "PUBLISHED", (dataclasses.replace(PUBLISHED[0], **change),))
    with pytest.raises(ValueError, match="missing or damaged; install it again"):
        create_model("googlenet_bn", weights="fashion_mnist")


def test_shrinking_halves_kernels_and_keeps_the_rest(tmp_path):
    trained = create_model("googlenet_bn", input_shape=(33, 33, 1), classes=3)
    normalization = trained.get_layer("conv1_7x7_bn")
    normalization.moving_variance.assign(np.full(64, 1e6))  # float16 ends at 65504
    trained.compile("adam")  # an optimizer's state is in the file, and not in the small one
    trained.optimizer.build(trained.trainable_variables)
    whole, small = tmp_path / "whole.weights.h5", tmp_path / "small.weights.h5"
    trained.save_weights(whole)
    shrink_weights(whole, small)
    assert small.stat().st_size < 0.55 * 4 * trained.count_params()
    again = create_model("googlenet_bn", input_shape=(33, 33, 1), classes=3, weights=small)
    by_keras = create_model("googlenet_bn", input_shape=(33, 33, 1), classes=3)
    by_keras.load_weights(small)
    for ours, keras_, theirs in zip(again.weights, by_keras.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours, np.float16(theirs) if len(theirs.shape) > 1 else theirs)
        np.testing.assert_array_equal(ours, keras_)
        assert ours.dtype == "float32"
    with open_weights(small) as file:
        assert {str(tensor.dtype) for tensor in file.tensors.values()} == {"float16", "float32"}


def test_shrinking_the_same_gives_the_same_file(file, tmp_path):
    """The checksum in the table is that of the weights, not of the day."""
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
    """The command's SavedModel has the weights' size, names and whole images, and answers as the model in memory."""
    command = ["--model", "googlenet_bn", "--weights", "fashion_mnist", "--output", str(tmp_path)]
    assert export.main(command) == 0
    card = json.loads((tmp_path / "googlenet_bn.json").read_text())
    (record,) = PUBLISHED
    assert {"name": "fashion_mnist", "sha256": record.sha256, "accuracy": CARD.accuracy}.items() <= card[
        "weights"
    ].items()
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
