"""What a model is said to be worth is what it is worth: the right crops, the right counts, on the right images."""

import itertools
import json

import keras
import numpy as np
import pytest
from PIL import Image

from googlenet_keras import create_model, evaluate, preprocess_input
from googlenet_keras.commands import evaluate as evaluate_command
from googlenet_keras.data import open_dataset
from googlenet_keras.evaluation import (
    CROPS,
    Tally,
    paper_crops,
    plot_confusion,
    score_models,
    ten_crops,
)

pytestmark = pytest.mark.usefixtures("read_once")
LABELS = ("boot", "coat", "shirt")


def coordinates(height, width):
    """An image whose two channels are each pixel's row and column."""
    return np.stack(np.mgrid[:height, :width], axis=-1).astype("float32")


@pytest.mark.parametrize("count", CROPS)
@pytest.mark.parametrize("shape", [(300, 200, 3), (28, 28, 1), (17, 90, 3)], ids=str)
def test_number_and_size_of_crops(count, shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    crops = CROPS[count](image, 28).numpy()
    assert crops.shape == (count, 28, 28, shape[-1])
    assert crops.dtype == np.float32
    assert 0 <= crops.min() < crops.max() <= 255


@pytest.mark.parametrize("count", CROPS)
def test_second_half_is_the_mirrored_first(count):
    crops = CROPS[count](coordinates(40, 50), 28).numpy()
    np.testing.assert_array_equal(crops[count // 2 :], crops[: count // 2, :, ::-1])


@pytest.mark.parametrize(("size", "height", "width"), [(224, 256, 340), (224, 340, 256), (112, 128, 170), (28, 32, 32)])
def test_ten_crops_are_the_corners_and_the_centre(size, height, width):
    image = coordinates(height, width)
    bottom, right = height - size, width - size
    places = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    crops = ten_crops(image, size).numpy()
    for crop, (top, left) in zip(crops, places, strict=False):
        np.testing.assert_array_equal(crop, image[top : top + size, left : left + size])


@pytest.mark.parametrize("portrait", [False, True])
def test_144_crops_are_the_papers(portrait):
    """Section 7: 4 sizes, 3 squares of each, 6 crops of each square, and mirrored."""
    size, short, long = 224, 256, 340
    image = coordinates(long, short) if portrait else coordinates(short, long)
    expected = []
    for side in (256, 288, 320, 352):
        length, far = round(long * side / short), side - size
        corners = [(0, 0), (0, far), (far, 0), (far, far), (far // 2, far // 2)]
        for along in (0, (length - side) // 2, length - side):
            square = np.array((along, 0) if portrait else (0, along))
            # Pixels of the image for each of the resized one's, whose long side is a whole number.
            pixel = np.array((long / length, short / side) if portrait else (short / side, long / length))
            middles = [square + corner + size / 2 for corner in corners] + [square + side / 2]
            steps = [pixel] * 5 + [pixel * side / size]
            expected += [[*(middle * pixel - 0.5), *step] for middle, step in zip(middles, steps, strict=True)]
    crops = paper_crops(image, size).numpy()[:72]
    # Their middles, away from the edges, where there is nothing to interpolate with; four blocks of 56 pixels a side.
    blocks = crops[:, 56:168, 56:168].reshape(72, 2, 56, 2, 56, 2).mean(axis=(2, 4))
    pixels = [np.diff(blocks[..., axis], axis=1 + axis).mean(axis=(1, 2)) / 56 for axis in (0, 1)]
    np.testing.assert_allclose(np.column_stack([blocks.mean(axis=(1, 2)), *pixels]), expected, atol=2e-3)


def test_scores_by_hand():
    """4 boots, one taken for a coat; 2 coats, both taken for boots; no shirt, none named; a bag taken for a coat."""
    tally = Tally([*LABELS, "bag"])
    answers = {"boot": [0, 0, 0, 1], "coat": [0, 0], "bag": [1]}
    for (label, named), true in zip(answers.items(), (0, 1, 3), strict=True):
        tally.add(np.eye(4)[named], np.full(len(named), true))
        assert label
    scores = tally.scores()
    assert scores.examples == 7
    assert scores.top1 == 3 / 7
    assert scores.top5 == 1
    assert scores.confusion == ((3, 1, 0, 0), (2, 0, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0))
    found = {one.label: (one.examples, one.precision, one.recall, one.f1) for one in scores.classes}
    assert found == {
        "boot": (4, 3 / 5, 3 / 4, 6 / 9),
        "coat": (2, 0, 0, 0),
        "shirt": (0, None, None, None),
        "bag": (1, None, 0, 0),
    }


def test_scores_are_keras_metrics():
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(12), 200), rng.integers(0, 12, 200)
    tally = Tally([str(i) for i in range(12)])
    for start in range(0, 200, 64):
        tally.add(probabilities[start : start + 64], labels[start : start + 64])
    scores = tally.scores()
    for k, found in ((1, scores.top1), (5, scores.top5)):
        metric = keras.metrics.SparseTopKCategoricalAccuracy(k)
        metric.update_state(labels, probabilities.astype("float32"))
        assert found == pytest.approx(float(metric.result()), abs=1e-6)


def test_answers_that_are_no_numbers_are_not_counted_right():
    with pytest.raises(RuntimeError, match="NaN or infinity"):
        Tally(LABELS).add(np.full((1, 3), np.nan), np.array([0]))
    with pytest.raises(ValueError, match="no examples"):
        Tally(LABELS).scores()


@pytest.mark.parametrize("classes", [2, 10, 45, 100])
def test_picture_of_any_number_of_classes_and_any_labels(classes, tmp_path):
    labels = ["$1_{", "a name longer than there is room for in a picture", "Å/b"]
    tally = Tally(list(itertools.islice(itertools.cycle(labels), classes)))
    tally.add(np.eye(classes), np.arange(classes)[::-1])
    plot_confusion(tally.scores(), tmp_path / "confusion.png", title="100 $ and $ more")
    with Image.open(tmp_path / "confusion.png") as picture:
        assert 400 < min(picture.size) <= max(picture.size) < 2500


def test_examples_of_weight_zero_do_not_count():
    inputs = keras.Input((1, 1, 3))
    model = keras.Model(inputs, keras.layers.Flatten()(inputs))
    images = np.eye(3, dtype="float32")[[0, 1, 2, 0]].reshape(4, 1, 1, 3)
    padded = {"image": images, "label": np.array([0, 1, 1, 2]), "weight": np.array([1, 1, 1, 0], "float32")}
    seen = []
    scores = score_models([model], [as_tensors(padded)], LABELS, report=seen.append)
    assert scores.examples == 3
    assert scores.top1 == 2 / 3
    assert seen == [0, 1]


def as_tensors(batch):
    return {name: keras.ops.convert_to_tensor(array) for name, array in batch.items()}


@pytest.fixture(scope="module")
def sample(root):
    """A few hundred images of Fashion-MNIST, prepared for TensorFlow Datasets."""
    return root / "tests" / "data" / "fashion_mnist_sample"


def pixels_and_labels(sample, split):
    examples = list(open_dataset("fashion_mnist", sample).split(split).images())
    return tuple(np.stack([one[key] for one in examples]) for key in ("image", "label"))


@pytest.fixture(scope="module")
def weights(sample, tmp_path_factory):
    """Two small networks, right about most images: random but for their classifiers, fitted by least squares."""
    pixels, labels = pixels_and_labels(sample, "train")
    files = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        model = create_model("mnist_inception")
        classifier = model.get_layer("predictions")
        features = keras.Model(model.input, classifier.input)(preprocess_input(pixels, "mnist_inception")).numpy()
        kernel, *_ = np.linalg.lstsq(features, 10 * np.eye(10)[labels], rcond=0.01)
        classifier.set_weights([kernel, np.zeros(10)])
        files.append(tmp_path_factory.mktemp("weights") / f"{seed}.weights.h5")
        model.save_weights(files[-1])
    return files


def probabilities_by_hand(file, images):
    model = create_model("mnist_inception", weights=file, classifier_activation="softmax")
    return model(preprocess_input(images, "mnist_inception"), training=False).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crops", "files"),
    [(1, [0]), (1, [0, 1]), (10, [1]), (144, [0, 1])],
)
def test_evaluation_is_what_the_models_answer(crops, files, sample, weights):
    split = "test" if crops < 144 else "test[:6]"
    pixels, labels = pixels_and_labels(sample, split)
    answers = []
    for file in (weights[i] for i in files):
        if crops == 1:
            answers.append(probabilities_by_hand(file, pixels))
        else:
            images = np.concatenate([CROPS[crops](image, 28) for image in pixels])
            answers.append(probabilities_by_hand(file, images).reshape(len(pixels), crops, 10).mean(axis=1))
    mean = np.mean(answers, axis=0)
    steps = []
    evaluation = evaluate(
        "mnist_inception",
        [weights[i] for i in files],
        dataset="fashion_mnist",
        data_dir=sample,
        split=split,
        batch_size=50,
        crops=crops,
        report=lambda *step: steps.append(step),
    )
    scores = evaluation.scores
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels, mean.argmax(axis=1)), 1)
    assert np.array_equal(scores.confusion, confusion)
    assert scores.top1 == np.mean(mean.argmax(axis=1) == labels) > 0.4
    higher = mean > mean[np.arange(len(mean)), labels][:, np.newaxis]
    assert scores.top5 == np.mean(higher.sum(axis=1) < 5)
    assert scores.classes[0].label == "T-shirt/top"
    images_of_a_step = max(1, 50 // crops)
    assert steps == [(i, -(-len(pixels) // images_of_a_step)) for i in range(-(-len(pixels) // images_of_a_step) + 1)]


def arguments(**given):
    """The command's arguments, but for those that are always the same."""
    given = {"model": "mnist_inception", "dataset": "fashion_mnist", **given}
    return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def test_table_and_files(sample, weights, tmp_path, capsys):
    folder = tmp_path / "new" / "results"
    assert evaluate_command.main(arguments(data_dir=sample, weights=weights[0], output=folder)) == 0
    output = capsys.readouterr()
    found = json.loads((folder / "evaluation.json").read_text())
    assert f"top-1 {found['top1']:.2%}, top-5 {found['top5']:.2%} of {found['examples']} examples" in output.out
    for one in found["classes"]:
        (row,) = [line.split() for line in output.out.splitlines() if line.strip().startswith(f"{one['label']} ")]
        assert row[-1] == f"{one['f1']:.2%}"
        assert row[-4] == str(one["examples"])
    assert sorted(file.name for file in folder.iterdir()) == [
        "confusion.png",
        "evaluation.json",
    ]


def test_json_says_what_was_measured(sample, weights, tmp_path, capsys):
    chosen = {"split": "test[:30]", "dtype": "mixed_bfloat16", "crops": 10, "batch_size": 64, "input_size": 32}
    with pytest.raises(ValueError, match="head is not that of"):  # the flattened map of this network has its own size
        evaluate("mnist_inception", weights, dataset="fashion_mnist", data_dir=sample, input_size=32)
    chosen["input_size"] = 28
    assert (
        evaluate_command.main([*arguments(data_dir=sample, weights=weights[0], output=tmp_path, **chosen), "--json"])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "evaluation.json").read_text())
    assert found["examples"] == sum(map(sum, found["confusion"])) == 30
    for name in ("split", "dtype", "crops", "input_size"):
        assert found[name] == chosen[name]
    assert found["weights"] == [str(weights[0])]


def test_broken_images_of_a_folder_are_named(weights, tmp_path, capsys):
    rng = np.random.default_rng(0)
    for number in range(20):
        folder = tmp_path / "images" / "test" / f"class {number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 50), dtype=np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "images" / "test" / "class 3" / "broken.png").write_bytes(b"no image")
    asked = arguments(
        dataset=f"folder:{tmp_path / 'images'}", weights=weights[0], output=tmp_path / "results", crops=10
    )
    asked.append("--json")
    assert evaluate_command.main(asked) == 0
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert found["examples"] == 20
    assert [one["label"] for one in found["classes"]] == [f"class {i}" for i in range(10)]
    (file,) = found["skipped"]
    assert file.endswith("broken.png")
    assert f"{file}: not an image" in output.err
    assert evaluate_command.main([*asked, "--max-bad", "0"]) == 2
    assert "broken.png" in capsys.readouterr().err


def test_wrong_use(sample, weights, tmp_path, capsys):
    (tmp_path / "damaged.weights.h5").write_bytes(b"damaged")
    (tmp_path / "file").touch()
    create_model("mnist_inception", classes=5).save_weights(tmp_path / "five.weights.h5")
    for changes, message in [
        ({"model": "mnist_incepton"}, "did you mean mnist_inception"),
        ({"model": "mnist_residual"}, "does not fit 'mnist_residual'"),
        ({"weights": tmp_path / "none.weights.h5"}, "There is no such weight file"),
        ({"weights": tmp_path / "damaged.weights.h5"}, "damaged"),
        ({"weights": tmp_path / "five.weights.h5"}, "which has 10 classes: build the model with as many"),
        ({"split": "validation"}, "validation"),
        ({"crops": 5}, "must be one of 1, 10, 144. Received: 5"),
        ({"batch_size": 0}, "The batch size must be at least 1"),
        ({"input_size": 8}, "must be at least 16x16"),
        ({"dtype": "float31"}, "float31"),
        ({"dataset": f"folder:{tmp_path / 'nowhere'}"}, "nowhere"),
        ({"output": tmp_path / "file"}, "File exists"),
    ]:
        given = {"data_dir": sample, "weights": weights[0], "output": tmp_path / "results", **changes}
        assert evaluate_command.main(arguments(**given)) == 2, changes
        output = capsys.readouterr()
        assert output.out == ""
        (line,) = output.err.splitlines()
        assert message in line
        assert not list((tmp_path / "results").glob("*"))
