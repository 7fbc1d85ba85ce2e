"""A SavedModel says what it sees, and names what it cannot read."""

import json
import re
import shutil

import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras import predict
from googlenet_keras.saved_model import Classifier, export_model


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    return export_model("googlenet_d2l", folder=tmp_path_factory.mktemp("exports")).saved_model


@pytest.fixture
def photographs(tmp_path, root):
    """A folder as people have them: a photograph in several formats, in folders, with other files between."""
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
    assert "a.JPG" in re.sub(r"\W*\n\W*", "", output.out)  # a long path goes on in the next line, whole
    assert any(label in output.out for label in Classifier(saved_model).labels)


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
        str(photographs / "broken.jpg"): "not a JPEG or PNG image, or a damaged one",
        str(photographs / "notes.txt"): "not a JPEG or PNG image, or a damaged one",
        str(photographs / "missing.png"): "No such file or directory",
        str(photographs / "empty.png"): "not a JPEG or PNG image, or a damaged one",
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
        ([str(saved_model), str(tmp_path / "no_images")], "no image files there"),
    ]:
        assert predict.main(arguments) == 2
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert message in line


def test_probabilities_are_the_signatures(saved_model, photographs):
    encoded = (photographs / "b.png").read_bytes()
    best = Classifier(saved_model).classify(encoded, top=1)[0]
    answer = tf.saved_model.load(str(saved_model)).signatures["serve_bytes"](encoded=tf.constant([encoded]))
    assert (
        best.probability
        == float(answer["probabilities"][0, best.index])
        == float(tf.reduce_max(answer["probabilities"]))
    )
