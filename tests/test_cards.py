"""Tests that commands need only a weight file with a card, and that arguments that contradict it are errors."""

import dataclasses
import json
import re

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras import create_model, evaluate, load_model, model_record, read_card, write_card
from googlenet_keras.commands import evaluate as evaluate_command, export, predict
from googlenet_keras.deploy import Classifier, export_model
from googlenet_keras.models.trained import find_network, read_labels
from googlenet_keras.training import load_recipe
from googlenet_keras.training.loop import train
from googlenet_keras.weights import Card, cards, load_weights, save_weights

LABELS = ("cat", "dog", "line\u2028separator")
CARD = Card(
    model="mnist_inception",
    input_shape=(32, 32, 1),
    labels=LABELS,
    preprocessing=dataclasses.replace(model_record("mnist_inception").preprocessing, crop_fraction=0.9),
    dataset="folder:animals",
    recipe={"epochs": 3},
    accuracy=0.5,
    versions={"keras": "3"},
)


pytestmark = pytest.mark.usefixtures("forked_verification", "read_once")


@pytest.fixture
def file(tmp_path):
    """Returns a weight file with a card, for three classes and images of 32x32."""
    path = tmp_path / "mine.weights.h5"
    save_weights(create_model("mnist_inception", input_shape=(32, 32, 1), classes=3), path, CARD)
    return path


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """Returns a folder of grayscale images, 40x30, of two of the three classes."""
    path = tmp_path_factory.mktemp("animals")
    rng = np.random.default_rng(0)
    for label in LABELS[:2]:
        (path / label).mkdir()
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (30, 40), "uint8")).save(path / label / f"{number}.png")
    return path


def test_a_card_comes_back_as_it_was(file):
    assert read_card(file) == CARD
    assert Card.from_dict({**CARD.as_dict(), "of a later version": 1}) == CARD


def test_keras_reads_a_file_with_a_card(file):
    ours = create_model("mnist_inception", weights=file)
    theirs = create_model("mnist_inception", input_shape=(32, 32, 1), classes=3)
    theirs.load_weights(file)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_card_of_many_classes(file):
    """HDF5 stores at most 64 kB in an attribute itself, but the 21,841 names of ImageNet take 400 kB."""
    labels = tuple(f"a class with the number {i}" for i in range(21_841))
    write_card(file, dataclasses.replace(CARD, labels=labels))
    assert read_card(file).labels == labels
    load_weights(create_model("mnist_inception", input_shape=(32, 32, 1), classes=3), file)


def test_a_failed_write_keeps_the_old_file(file, monkeypatch):
    before = file.read_bytes()

    def full(*_, **__):
        raise OSError("the disk is full")

    monkeypatch.setattr(cards.h5py, "File", full)
    with pytest.raises(OSError, match="full"):
        write_card(file, CARD)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_damaged_card_is_named(file):
    for text in ("{", "{}", json.dumps({**CARD.as_dict(), "labels": []})):
        with h5py.File(file, "r+") as whole:
            whole.attrs[cards.ATTRIBUTE] = text
        with pytest.raises(ValueError, match=r"The card of the weight file is damaged .*mine"):
            find_network(None, file)


def test_the_file_alone_is_enough(file):
    model = load_model(file)
    assert (model.name, model.input.shape, model.output.shape) == ("mnist_inception", (None, 32, 32, 1), (None, 3))
    assert load_model(file, include_top=False).output.shape[-1] == 88
    assert create_model("mnist_inception", weights=file).output.shape == (None, 3)
    assert Classifier.load(file).labels == LABELS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "mnist_residual"}, r"says model 'mnist_inception'; .* Received: 'mnist_residual'"),
        ({"classes": "4"}, "says classes 3; .* Received: 4"),
        ({"input-shape": "28 28 1"}, r"says input shape \(32, 32, 1\); .* Received: \(28, 28, 1\)"),
        ({"labels": "bird\ndog\nline\u2028separator\n"}, "says label 'cat'; .* Received: 'bird'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_flag_that_contradicts_the_card_is_an_error(file, arguments, message, tmp_path, capsys, root):
    if "labels" in arguments:
        (tmp_path / "labels.txt").write_text(arguments["labels"], encoding="utf-8")
        arguments = {"labels": str(tmp_path / "labels.txt")}
    flags = ["--weights", str(file)]
    for name, value in arguments.items():
        flags += [f"--{name}", *value.split(" ")]
    image = str(root / "googlenet_keras" / "assets" / "ankle_boot.png")
    for command, more in ((export, ["--output", str(tmp_path / "exports")]), (predict, ["--top", "1", image])):
        assert command.main([*flags, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(message, line)
    assert not (tmp_path / "exports").exists()


def test_evaluate_needs_the_file_alone(file, animals, tmp_path, capsys):
    """The card gives the input size, the channels and all class names; the dataset has only two of the classes."""
    write_card(file, dataclasses.replace(CARD, dataset=f"folder:{animals}"))
    assert evaluate_command.main(["--weights", str(file), "--output", str(tmp_path / "results"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["input_size"], found["split"]) == ("mnist_inception", 32, "test")
    assert [one["label"] for one in found["classes"]] == list(LABELS)
    assert found["examples"] == 2
    assert (
        evaluate_command.main(["--weights", str(file), "--input-size", "28", "--output", str(tmp_path / "other")]) == 2
    )
    assert "says input shape (32, 32, 1)" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_evaluating_classes_that_the_network_does_not_know_is_an_error(file, animals):
    write_card(file, dataclasses.replace(CARD, labels=("cat", "bird", "fish")))
    with pytest.raises(ValueError, match=r"does not know the class 'dog' of .*; it knows cat, bird, fish"):
        evaluate(None, [file], dataset=f"folder:{animals}")


def test_an_ensemble_of_unlike_networks_is_an_error(file, animals, tmp_path):
    other = tmp_path / "other.weights.h5"
    save_weights(load_model(file), other, dataclasses.replace(CARD, labels=LABELS[::-1]))
    with pytest.raises(ValueError, match="must have the same classes"):
        evaluate(None, [file, other], dataset=f"folder:{animals}")


def test_a_file_without_a_card_works_as_ever_and_says_what_is_missing(animals, tmp_path, capsys):
    path = tmp_path / "plain.weights.h5"
    create_model("mnist_inception", classes=2).save_weights(path)
    assert read_card(path) is None
    with pytest.raises(ValueError, match="does not say which network it belongs to"):
        load_model(path)
    for command in (["--dataset", f"folder:{animals}"], ["--model", "mnist_inception"]):
        assert evaluate_command.main(["--weights", str(path), "--output", str(tmp_path / "results"), *command]) == 2
    message = capsys.readouterr().err
    assert "does not say which network" in message
    assert "does not name the dataset" in message
    evaluation = evaluate("mnist_inception", [path], dataset=f"folder:{animals}")
    assert (evaluation.input_size, evaluation.scores.examples) == (28, 2)


def test_weights_of_another_network_are_refused_by_name(file):
    """Networks with the same layer names and shapes may still differ in padding and preprocessing."""
    write_card(file, dataclasses.replace(CARD, model="googlenet"))
    for build in (lambda: create_model("googlenet_bvlc", weights=file), lambda: load_model(file, variant="bvlc")):
        with pytest.raises(ValueError, match=r"belong to googlenet: .* Received: googlenet_bvlc"):
            build()
    write_card(file, CARD)
    with pytest.raises(ValueError, match=r"input channels is 1: .* Received: 3 channels"):
        create_model("mnist_inception", weights=file, include_top=False, input_shape=(32, 32, 3))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value, tmp_path, capsys, root):
    """Weights with NaN or infinity would make predict print `nan%`."""
    model = create_model("mnist_inception")
    kernel = model.get_layer("conv2").kernel.numpy()
    kernel[0, 0, 0, 0] = value
    model.get_layer("conv2").kernel.assign(kernel)
    model.save_weights(tmp_path / "damaged.weights.h5")
    image = str(root / "googlenet_keras" / "assets" / "ankle_boot.png")
    assert predict.main(["--model", "mnist_inception", "--weights", str(tmp_path / "damaged.weights.h5"), image]) == 2
    assert "holds NaN or infinity, in conv2/0" in capsys.readouterr().err


def test_a_backbone_says_only_what_it_leaves_out(file, caplog):
    """The file has one head, so the message must not mention the heads of other networks."""
    create_model("mnist_inception", weights=file, include_top=False)
    (record,) = caplog.records
    said = "The file has a head of 3 classes: left out 2 tensors, because mnist_inception has no such part"
    assert record.getMessage() == said


def own_network(path, classes=3):
    """Saves and returns a body of the package with a user's own head, built as in the guide of keras.applications."""
    body = create_model("mnist_inception", include_top=False, pooling="avg", input_shape=(None, None, 1))
    outputs = keras.layers.Dense(classes, activation="softmax", name="animals")(body.output)
    model = keras.Model(body.input, outputs, name="animals_on_inception")
    model.save(path)
    return model


@pytest.mark.slow
def test_a_network_of_ones_own_goes_all_the_way(animals, tmp_path, capsys):
    """A custom network, whose head has another name and whose input size is free, can be exported and evaluated."""
    path = tmp_path / "own.keras"
    model = own_network(path, classes=2)
    assert load_model(path).name == "animals_on_inception"
    assert export.main(["--weights", str(path), "--output", str(tmp_path / "exports")]) == 2
    assert "say which one of list_models() it is built on" in capsys.readouterr().err
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    labels = ["--labels", str(tmp_path / "labels.txt")]
    arguments = ["--model", "mnist_inception", "--weights", str(path)]
    assert export.main([*arguments, *labels, "--output", str(tmp_path / "exports")]) == 0
    capsys.readouterr()
    image = animals / "cat" / "0.png"
    exported = Classifier.load(tmp_path / "exports" / "mnist_inception")
    built = Classifier.build("mnist_inception", path, labels=tmp_path / "labels.txt")
    assert exported.labels == built.labels == ("cat", "dog")
    for ours, theirs in zip(exported.classify(image.read_bytes()), built.classify(image.read_bytes()), strict=True):
        assert ours.label == theirs.label
        assert ours.probability == pytest.approx(theirs.probability, abs=1e-5)
    evaluation = evaluate("mnist_inception", [path], dataset=f"folder:{animals}", split="train+test")
    assert evaluation.scores.examples == 12
    pixels = np.array(Image.open(image))[np.newaxis, :, 5:35, np.newaxis]  # the largest square in the middle
    pixels = tf.image.resize(pixels, (28, 28), antialias=True) / 255
    expected = model(pixels, training=False).numpy()[0]
    answers = {one.label: one.probability for one in built.classify(image.read_bytes())}
    assert answers == pytest.approx({"cat": expected[0], "dog": expected[1]}, abs=1e-5)


def test_labels_files(tmp_path):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_bytes("\ufeffcat\r\nline\u2028separator\n\u00c5ngstr\u00f6m".encode())
    assert read_labels(good) == ("cat", "line\u2028separator", "\u00c5ngstr\u00f6m")
    for content, message in (
        ("\u00c5ngstr\u00f6m\n".encode("latin-1"), r"must be UTF-8: save it as UTF-8\. Received: .*bad\.txt"),
        (b"cat\n\ndog\n", "no empty lines"),
        (b"cat\ndog\ncat\n", r"'cat' twice in .*bad\.txt"),
        (b"", "no empty lines"),
    ):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            read_labels(bad)


@pytest.mark.slow
def test_what_was_trained_is_what_is_served(root, tmp_path, capsys):
    """After a short training, each command needs only the weight file and reports the accuracy of the training."""
    recipe = load_recipe("d2l_fashion_mnist", model="mnist_inception", input_size=28, epochs=2, learning_rate=0.05)
    sample = root / "tests" / "data" / "fashion_mnist_sample"
    results = train(recipe, tmp_path / "run", data_dir=sample)
    file = tmp_path / "run" / "model.weights.h5"
    card = read_card(file)
    assert (card.model, card.dataset, card.classes) == ("mnist_inception", "fashion_mnist", 10)
    assert card.input_shape == (28, 28, 1)
    assert card.labels[9] == "Ankle boot"
    assert card.preprocessing.crop_fraction == 1
    assert card.accuracy == results["val_accuracy"]
    assert card.recipe["epochs"] == 2
    evaluation = evaluate(None, [file], data_dir=sample)
    assert evaluation.scores.top1 == results["val_accuracy"]
    export = export_model(weights=file, folder=tmp_path / "exports")
    card = json.loads(export.card.read_text())
    assert card["labels"][9] == "Ankle boot"
    assert card["weights"]["accuracy"] == results["val_accuracy"]
    boot = str(root / "googlenet_keras" / "assets" / "ankle_boot.png")
    answers = []
    for network in (file, export.saved_model):
        assert predict.main([str(network), boot, "--json", "--top", "10"]) == 0
        (answer,) = json.loads(capsys.readouterr().out)
        answers.append({one["label"]: one["probability"] for one in answer["predictions"]})
    assert answers[0] == pytest.approx(answers[1], abs=1e-5)
