"""An image has one path: who trains, evaluates, asks or serves sees the same pixels, upright, or the same refusal."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras import create_model, evaluate, model_record
from googlenet_keras.data import Augmentation, Batches, open_dataset
from googlenet_keras.deploy import Classifier, export_model
from googlenet_keras.images import MOST_PIXELS, decode_box, decode_image, inspect_image, refusal
from googlenet_keras.weights import Card, save_weights

# How stored pixels become upright, by EXIF orientation; Pillow's names of what to do.
UPRIGHT = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
NOT_AN_IMAGE = "not an image that can be read"


@pytest.fixture(scope="module")
def photograph(root):
    with Image.open(root / "googlenet_keras" / "assets" / "grace_hopper.jpg") as picture:
        return picture.convert("RGB").resize((101, 64))


def file_of(picture, kind, **options):
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def exif(orientation, byte_order="<"):
    """An EXIF structure with another tag before the orientation, in either byte order."""
    data = Image.Exif()
    data.endian = byte_order
    data[0x010E] = "a description"
    data[0x0112] = orientation
    return data.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_image_is_seen_upright(orientation, byte_order, kind, photograph):
    """Telephones store most photographs turned, and say so in EXIF."""
    # Colours in full resolution: a part of them is then decoded to the same bits as the whole.
    options = {"subsampling": 0} if kind == "JPEG" else {}
    stored = Image.fromarray(decode_image(file_of(photograph, kind, **options), 3).numpy())
    turn = UPRIGHT[orientation]
    expected = np.array(stored if turn is None else stored.transpose(turn))
    encoded = file_of(photograph, kind, exif=exif(orientation, byte_order), **options)
    np.testing.assert_array_equal(decode_image(encoded, 3), expected)
    assert inspect_image(encoded) == (*expected.shape[:2], False, orientation != 1)
    height, width = expected.shape[:2]
    top, left, rows, columns = height // 5, width // 7, height // 3, width // 2
    for turned in {True, orientation != 1}:
        part = decode_box(encoded, 3, lambda *_: tf.constant([top, left, rows, columns]), turned=turned)
        np.testing.assert_array_equal(part, expected[top : top + rows, left : left + columns])


def test_damaged_exif_does_no_harm(photograph):
    """Whatever stands there, the image is decoded; it is as stored if the orientation is none of the eight."""
    rng = np.random.default_rng(0)
    whole = exif(6)
    plain = decode_image(file_of(photograph, "PNG"), 3).numpy()
    for orientation in (0, 9, 65535):
        np.testing.assert_array_equal(decode_image(file_of(photograph, "PNG", exif=exif(orientation)), 3), plain)
    for _ in range(40):
        damaged = bytearray(whole)
        for place in rng.integers(len(b"Exif\0\0"), len(whole), 4):
            damaged[place] = rng.integers(256)
        encoded = file_of(photograph, "JPEG", exif=bytes(damaged[: rng.integers(8, len(damaged) + 1)]))
        assert sorted(decode_image(encoded, 1).shape[:2]) == [64, 101]


@pytest.mark.parametrize(
    ("kind", "mode", "grey"),
    [
        ("JPEG", "L", True),
        ("JPEG", "CMYK", False),
        ("PNG", "LA", True),
        ("PNG", "RGBA", False),
        ("PNG", "P", False),
        ("PNG", "1", True),
        ("PNG", "I;16", True),
        ("BMP", "RGB", False),
        ("GIF", "RGB", False),
        ("WEBP", "RGB", False),
    ],
)
def test_files_as_people_have_them(kind, mode, grey, photograph):
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(photograph.convert("L"), "uint16") * 257)
    else:
        picture = photograph.convert(mode)
    encoded = file_of(picture, kind)
    found = inspect_image(encoded)
    assert (found.height, found.width) == (64, 101)
    assert found.grey or not grey
    for channels in (1, 3):
        image = decode_image(encoded, channels)
        assert (image.shape, image.dtype) == ((64, 101, channels), tf.uint8)
    expected = np.asarray((photograph if mode == "I;16" else picture.convert("RGB")).convert("L"), float)
    # JPEG, GIF and WebP lose something.
    assert np.abs(decode_image(encoded, 1).numpy()[..., 0] - expected).mean() < 6


def claiming(height, width, photograph):
    """A JPEG file whose header claims another size than it has."""
    encoded = bytearray(file_of(photograph, "JPEG"))
    frame = encoded.index(b"\xff\xc0")
    encoded[frame + 5 : frame + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(encoded)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_an_image_beyond_the_limit_is_refused_before_it_takes_memory(kind, photograph):
    """A file of 48 kB may claim 400 million pixels, for which there are 7 GB to be found."""
    if kind == "PNG":
        content = io.BytesIO()
        Image.new("1", (20_000, 20_000)).save(content, "PNG")
        encoded = content.getvalue()
    else:
        encoded = claiming(65_500, 65_500, photograph) if kind == "JPEG" else b"GIF89a" + b"\xff" * 64
    with pytest.raises(ValueError, match=f"more than {MOST_PIXELS:,} pixels; make it smaller"):
        inspect_image(encoded)
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode_image(encoded, 3)
    assert refusal(error.value) == f"The image has more than {MOST_PIXELS:,} pixels; make it smaller"


def test_what_is_no_image_is_said(photograph):
    whole = file_of(photograph, "JPEG")
    for encoded in (b"", b"text", b"\x89PNG", b"\xff\xd8\xff", b"GIF89a", whole[: len(whole) // 2], b"RIFF0000WEBP"):
        with pytest.raises(ValueError, match=NOT_AN_IMAGE):
            inspect_image(encoded)
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            decode_image(encoded, 3)
        assert NOT_AN_IMAGE in refusal(error.value)


def test_what_training_would_refuse_is_named_when_the_folder_is_opened(photograph, tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(3):
            photograph.save(tmp_path / label / f"{number}.png")
    (tmp_path / "cat" / "lies.jpg").write_bytes(claiming(65_500, 65_500, photograph))
    split = open_dataset(f"folder:{tmp_path}").split("train+test")
    assert (split.size, list(split.bad)) == (6, [str(tmp_path / "cat" / "lies.jpg")])
    assert "pixels; make it smaller" in split.bad[str(tmp_path / "cat" / "lies.jpg")]


def test_a_folder_of_turned_images_is_trained_on_upright(tmp_path):
    """A random crop of a turned photograph is a part of the upright one: its sky is above."""
    sky = Image.fromarray(np.repeat(np.linspace(255, 0, 200).astype("uint8")[:, None], 300, axis=1)).convert("RGB")
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for number in range(4):
            sky.transpose(Image.Transpose.ROTATE_90).save(tmp_path / label / f"{number}.jpg", exif=exif(6))
    dataset = open_dataset(f"folder:{tmp_path}")
    assert dataset.turned
    assert dataset.image_size == (200, 300)
    batches = Batches(
        dataset.split("train"),
        batch_size=6,
        input_size=32,
        preprocessing=lambda pixels: pixels,
        training=True,
        augmentation=Augmentation(),
    )
    (batch,) = batches.epoch(0)
    images = batch["image"].numpy()
    assert (images[:, 0].mean(axis=(1, 2)) > images[:, -1].mean(axis=(1, 2)) + 10).all()
    assert (np.abs(images[:, :, 0] - images[:, :, -1]) < 8).all()


LABELS = tuple(f"class {i}" for i in range(10))


def weights_that_see(path, crop_fraction, size, channels):
    """A small network whose answers hang on every part of its input, in a file with a card."""
    keras.utils.set_random_seed(0)
    model = create_model("mnist_inception", input_shape=(size, size, channels))
    kernel = model.get_layer("predictions").kernel
    kernel.assign(np.random.default_rng(1).normal(size=kernel.shape) * 5)
    preprocessing = model_record("mnist_inception").preprocessing
    card = Card(
        model="mnist_inception",
        input_shape=(size, size, channels),
        labels=LABELS,
        preprocessing=type(preprocessing)(**{**preprocessing.as_dict(), "crop_fraction": crop_fraction}),
    )
    save_weights(model, path, card)
    return path


def folder_of_images(path, count, small):
    """Images of coarse noise: of 30x30 pixels, or of many sizes, as PNG and JPEG, some of them stored turned."""
    rng = np.random.default_rng(0)
    for number in range(count):
        folder = path / "test" / LABELS[number % 10]
        folder.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), "uint8"))
        size = (30, 30) if small else tuple(rng.integers(20, 220, 2).tolist())
        turned = {} if small else {"exif": exif(int(rng.integers(1, 9)))}
        picture.resize(size, Image.Resampling.BICUBIC).save(
            folder / f"{number:04}.{('png', 'jpg')[number % 2]}", **turned
        )
    return path


@pytest.fixture(scope="module", params=[0.875, 1.0, pytest.param(227 / 256, marks=pytest.mark.slow)])
def exported(request, tmp_path_factory, forked_verification):
    """A weight file whose card has this crop fraction, its export's signatures, and what `predict` makes of it."""
    folder = tmp_path_factory.mktemp("exported")
    weights = weights_that_see(folder / "mine.weights.h5", request.param, 28, 3)
    export = export_model(weights=weights, folder=folder / "exports")
    card = json.loads(export.card.read_text())
    assert card["input"]["preprocessing"]["crop_fraction"] == request.param
    assert card["labels"] == list(LABELS)
    return weights, tf.saved_model.load(str(export.saved_model)), Classifier.load(weights)


@pytest.mark.slow
@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
@pytest.mark.parametrize("count", [40, 300])
def test_evaluate_predict_and_both_signatures_give_the_same_answers(count, small, exported, tmp_path):
    """Who deploys a network relies on the accuracy that `evaluate` has measured."""
    images = folder_of_images(tmp_path / "images", count, small)
    weights, served, classifier = exported

    files = sorted((images / "test").rglob("*.*g"))
    encoded = [file.read_bytes() for file in files]
    by_bytes = served.signatures["serve_bytes"](encoded=tf.constant(encoded))["probabilities"].numpy()
    by_images = np.concatenate(
        [served.signatures["serve_images"](images=decode_image(one, 3)[tf.newaxis])["probabilities"] for one in encoded]
    )
    by_predict = np.zeros_like(by_bytes)
    for row, one in enumerate(encoded):
        for answer in classifier.classify(one, top=10):
            by_predict[row, answer.index] = answer.probability
    # float32 carries 7 digits, and other batch sizes add in another order.
    np.testing.assert_allclose(by_images, by_bytes, atol=1e-5)
    np.testing.assert_allclose(by_predict, by_bytes, atol=1e-5)

    scores = evaluate(None, [weights], dataset=f"folder:{images}").scores
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, ([LABELS.index(file.parent.name) for file in files], by_bytes.argmax(axis=1)), 1)
    assert len(np.unique(by_bytes.argmax(axis=1))) >= 4
    np.testing.assert_array_equal(scores.confusion, confusion)
