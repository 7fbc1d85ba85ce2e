"""SavedModels and weight files classify images correctly, and images that cannot be read are named."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras import create_model
from googlenet_keras.commands import predict
from googlenet_keras.data import open_dataset
from googlenet_keras.deploy import Classifier, export_model

REFUSED = "not an image that can be read (JPEG, PNG, GIF, BMP, WebP), or a damaged one"


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory, root, forked_verification):
    labels = root / "googlenet_keras" / "assets" / "fashion_mnist_labels.txt"
    return export_model("mnist_inception", folder=tmp_path_factory.mktemp("exports"), labels=labels).saved_model


@pytest.fixture
def photographs(tmp_path, root):
    """Creates a typical folder: a photograph in several formats, also in a subfolder, and a file that is no image."""
    folder = tmp_path / "photographs"
    (folder / "more").mkdir(parents=True)
    with Image.open(root / "googlenet_keras" / "assets" / "grace_hopper.jpg") as picture:
        picture.save(folder / "a.JPG", "JPEG")
        picture.convert("RGBA").save(folder / "b.png")
        picture.convert("L").save(folder / "c.jpeg")
        picture.crop((0, 0, 40, 500)).convert("CMYK").save(folder / "more" / "narrow.jpg")
        picture.convert("P").save(folder / "more" / "palette.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_table(saved_model, photographs, capsys):
    assert predict.main([str(saved_model), str(photographs / "a.JPG"), "--top", "3"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert output.out.count("%") == 3
    assert "a.JPG" in re.sub(r"\W*\n\W*", "", output.out)  # a long path continues on the next line and is not cut
    assert any(label in output.out for label in Classifier.load(saved_model).labels)


def test_json_of_a_folder(saved_model, photographs, capsys):
    assert predict.main([str(saved_model), str(photographs), "--json", "--top", "10"]) == 0
    answers = json.loads(capsys.readouterr().out)
    names = [answer["image"].removeprefix(f"{photographs}/") for answer in answers]
    assert names == ["a.JPG", "b.png", "c.jpeg", "more/narrow.jpg", "more/palette.png"]
    for answer in answers:
        probabilities = [one["probability"] for one in answer["predictions"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        assert {one["index"] for one in answer["predictions"]} == set(range(10))


def test_unreadable_images_are_named_and_the_rest_answered(saved_model, photographs, capsys):
    (photographs / "broken.jpg").write_bytes((photographs / "a.JPG").read_bytes()[:2000])
    (photographs / "empty.png").touch()
    files = [photographs / name for name in ("broken.jpg", "a.JPG", "notes.txt", "missing.png", "empty.png", "b.png")]
    assert predict.main([str(saved_model), *map(str, files), "--json"]) == 1
    output = capsys.readouterr()
    assert [answer["image"] for answer in json.loads(output.out)] == [
        str(photographs / "a.JPG"),
        str(photographs / "b.png"),
    ]
    named = dict(line.split(": ", 1) for line in output.err.splitlines())
    assert named == {
        str(photographs / "broken.jpg"): REFUSED,
        str(photographs / "notes.txt"): REFUSED,
        str(photographs / "missing.png"): "No such file or directory",
        str(photographs / "empty.png"): REFUSED,
    }


def test_wrong_use(saved_model, photographs, capsys, tmp_path):
    image = str(photographs / "a.JPG")
    (tmp_path / "no_images").mkdir()
    damaged = tmp_path / "damaged"
    shutil.copytree(saved_model, damaged)
    (damaged / "saved_model.pb").write_bytes(b"damaged")
    for arguments, message in [
        ([str(tmp_path / "nowhere"), image], "no SavedModel of this package; make one with"),
        ([str(photographs), image], "no SavedModel of this package"),
        ([str(damaged), image], "The SavedModel is damaged"),
        ([str(saved_model), image, "--top", "0"], "--top must be at least 1"),
        ([str(saved_model), str(tmp_path / "no_images")], "No image files were found"),
        ([str(saved_model)], "Name a SavedModel or a weight file, and then images"),
        ([str(saved_model), image, "--weights", "fashion_mnist"], "Give a SavedModel or --weights, not both"),
        ([image, image, "--input-shape", "48", "48", "1"], "--input-shape can be given only with a weight file"),
        ([image, image, "--model", "googlenet_bn"], "--model can be given only with a weight file"),
        ([image, "--model", "googlenet_nb", "--weights", "fashion_mnist"], "did you mean googlenet_bn"),
        ([image, "--model", "vgg16", "--weights", "fashion_mnist"], "belong to another network: build googlenet_bn"),
        ([image, "--model", "googlenet_bn", "--weights", "missing.weights.h5"], "no such weight file"),
        (
            [image, "--model", "googlenet_bn", "--weights", "fashion_mnist", "--classes", "9"],
            "says classes 10; leave it out or give the same. Received: 9",
        ),
    ]:
        assert predict.main(arguments) == 2
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert message in line


def test_probabilities_are_the_signatures(saved_model, photographs):
    encoded = (photographs / "b.png").read_bytes()
    best = Classifier.load(saved_model).classify(encoded, top=1)[0]
    answer = tf.saved_model.load(str(saved_model)).signatures["serve_bytes"](encoded=tf.constant([encoded]))
    assert (
        best.probability
        == float(answer["probabilities"][0, best.index])
        == float(tf.reduce_max(answer["probabilities"]))
    )


@pytest.fixture(scope="module")
def clothes(root):
    """Returns real images that were not used for training, each with its class, and the names of the classes."""
    dataset = open_dataset("fashion_mnist", root / "tests" / "data" / "fashion_mnist_sample")
    examples = dataset.split("test").images().as_numpy_iterator()
    return [(one["image"], int(one["label"])) for one in examples], dataset.label_names


@pytest.fixture(scope="module")
def named(clothes, tmp_path_factory):
    """Returns the labels that the published weights predict for 32 images and a bag in several forms, by file name."""
    examples, _ = clothes
    folder = tmp_path_factory.mktemp("clothes")
    for number, (image, _) in enumerate(examples[:32]):
        (folder / f"{number:02}.png").write_bytes(tf.io.encode_png(image).numpy())
    bag = Image.fromarray(next(image for image, label in examples if label == 8)[..., 0])
    large = bag.convert("RGB").resize((112, 112), Image.Resampling.BICUBIC)
    for name, image in (("small.png", bag), ("large.png", large), ("large.jpg", large)):
        image.save(folder / name)
    command = ["--model", "googlenet_bn", "--weights", "fashion_mnist", str(folder), "--json", "--top", "1"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        assert predict.main(command) == 0
    answers = json.loads(output.getvalue())
    return {Path(answer["image"]).name: answer["predictions"][0]["label"] for answer in answers}


def test_published_weights_say_something_true(clothes, named):
    """Nine of ten images that were not used for training are classified correctly, so at least 26 of 32 must be."""
    examples, labels = clothes
    assert len(named) == 32 + 3
    assert sum(named[f"{number:02}.png"] == labels[label] for number, (_, label) in enumerate(examples[:32])) >= 26


def test_colour_and_size_do_not_matter_to_published_weights(named):
    """A user gets the same label for a bag as grey 28x28 PNG, as colour PNG of four times that size, and as JPEG."""
    assert {named[name] for name in ("small.png", "large.png", "large.jpg")} == {"Bag"}


def test_weights_of_ones_own(photographs, tmp_path, capsys):
    """Users can predict with the weights of their own training, with its number of classes and channels."""
    file, labels = tmp_path / "model.weights.h5", tmp_path / "labels.txt"
    create_model("mnist_residual", classes=3, input_shape=(32, 32, 3)).save_weights(file)
    labels.write_text("cat\ndog\nbird\n")
    command = ["--model", "mnist_residual", "--weights", str(file), str(photographs / "a.JPG"), "--json"]
    command += ["--input-shape", "32", "32", "3", "--labels", str(labels)]
    assert predict.main(command) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert {one["label"] for one in answer["predictions"]} == {"cat", "dog", "bird"}
