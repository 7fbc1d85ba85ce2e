"""Tests that a file of any framework becomes one with a card, and that the network's outputs stay the same."""

import dataclasses
import functools
import hashlib
import re

import golden
import keras
import numpy as np
import pytest
import weight_files

from googlenet_keras import create_model, load_model, model_record, read_card
from googlenet_keras.commands import convert
from googlenet_keras.images.preprocessing import MEAN_SUBTRACTED_BGR, STANDARDIZED_RGB, ZERO_TO_ONE
from googlenet_keras.models.trained import find_network
from googlenet_keras.weights import PUBLISHED, catalogue, conversion, recognize_source
from googlenet_keras.weights.conversion import PREPROCESSINGS, convert_weights

TOLERANCE = 1e-4  # relative to the largest output, because float32 sums depend on their order


@pytest.fixture
def written(tmp_path):
    """Returns a function that writes a state to a file."""

    def write(state, name="theirs.npz"):
        np.savez(tmp_path / name, **state)
        return tmp_path / name

    return write


@functools.cache
def caffe_body():
    """Returns the body of Caffe's GoogLeNet at 32x32 and a state of its tensors, which tests must not change."""
    model = create_model("googlenet_bvlc", include_top=False, input_shape=(32, 32, 3))
    names, shapes = golden.names_and_shapes("bvlc_googlenet")
    state = {name: golden.tensor(name, shape, 0) for name, shape in zip(names, shapes, strict=True)}
    return model, {name: array for name, array in state.items() if not name.startswith("loss")}


def slim_tarball(path, state):
    """Writes a tarball as TF-slim publishes them: it contains one checkpoint in the old format."""
    weight_files.write_checkpoint(path.parent / "inception.ckpt", state, version=1)
    weight_files.write_tarball(path, [path.parent / "inception.ckpt"], level=0)  # random numbers cannot be compressed


def torch_file(path, state):
    weight_files.write_torch(path, weight_files.state_dict(state))


def old_torch_file(path, state):
    weight_files.write_torch(path, weight_files.state_dict(state), old=True)


# Golden file, model, output, factor from the golden input to the network's, file name, function that writes it.
CASES = [
    ("slim_inception_v1", "googlenet_slim", "logits_1001", 1, "inception_v1.tar.gz", slim_tarball),
    (
        "bvlc_googlenet",
        "googlenet_bvlc",
        "logits",
        100,
        "bvlc_googlenet.caffemodel",
        lambda path, state: weight_files.write_caffe(path, state, old=True, old_shapes=True),
    ),
    (
        "torchvision_googlenet",
        "googlenet_torchvision",
        "logits",
        1,
        "googlenet.pth",
        torch_file,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "model", "output", "scale", "name", "write"),
    [pytest.param(*case, id=case[0]) for case in CASES],
)
def test_the_file_alone_answers_as_the_original(tmp_path, file, model, output, scale, name, write):
    state, images, expected = golden.load(file)
    theirs, made = tmp_path / name, tmp_path / "ours.weights.h5"
    write(theirs, state)
    done = convert_weights(theirs, made, model)
    card = read_card(made)
    assert done.card == card
    assert card.model == model
    assert (card.classes, card.labels[0], card.labels[-1]) == (1000, "tench", "toilet tissue")
    assert card.preprocessing == model_record(model).preprocessing
    assert card.source == f"{name}, converted from {recognize_source(state)}"
    assert not done.loading.left_out
    network = load_model(made, classifier_activation=None)
    answer = network(images * scale, training=False)
    heads = {"aux1", "aux2"} & set(expected)
    if heads:
        assert card.arguments == {"aux_heads": True}
        for head in heads:
            np.testing.assert_allclose(
                answer[head], expected[head], rtol=0, atol=TOLERANCE * np.abs(expected[head]).max()
            )
        answer = answer["predictions"]
    # The first class of TF-slim is the background, which is not among ImageNet's 1000 classes.
    logits = expected[output][:, -1000:]
    np.testing.assert_allclose(answer, logits, rtol=0, atol=TOLERANCE * np.abs(expected[output]).max())
    # create_model builds auxiliary heads only on request, even if the file has them.
    assert not isinstance(create_model(model, weights=made).output, dict)


safetensors_file = weight_files.write_safetensors
FACES = {"input_shape": (160, 160, 3)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "model", "output", "name", "write", "arguments"),
    [
        ("slim_inception_v2", "inception_v2", "logits_1001", "inception_v2.tar.gz", slim_tarball, {}),
        ("slim_inception_v3", "inception_v3", "logits_1001", "inception_v3.tar.gz", slim_tarball, {}),
        ("slim_inception_v4", "inception_v4", "logits_1001", "inception_v4.tar.gz", slim_tarball, {}),
        ("slim_inception_resnet_v2", "inception_resnet_v2", "logits_1001", "resnet.tar.gz", slim_tarball, {}),
        ("timm_inception_v4", "inception_v4", "logits", "a.safetensors", safetensors_file, {}),
        ("timm_inception_resnet_v2", "inception_resnet_v2", "logits", "b.safetensors", safetensors_file, {}),
        ("torchvision_inception_v3", "inception_v3", "logits", "a.pth", torch_file, {}),
        ("torchvision_alexnet", "alexnet", "logits", "alexnet.pth", old_torch_file, {}),
        ("torchvision_vgg11", "vgg11", "logits", "vgg11.pth", torch_file, {}),
        ("torchvision_vgg13_bn", "vgg13_bn", "logits", "vgg13_bn.pth", torch_file, {}),
        ("facenet_inception_resnet_v1", "inception_resnet_v1", "pooled", "faces.pt", torch_file, FACES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_golden_file_goes_all_the_way(tmp_path, file, model, output, name, write, arguments):
    """A file in the publisher's format must give the outputs of an independent implementation."""
    state, images, expected = golden.load(file)
    theirs, made = tmp_path / name, tmp_path / "ours.weights.h5"
    write(theirs, state)
    left_out = convert_weights(theirs, made, model, **arguments).loading.left_out
    body = output == "pooled"
    # A face network ends in an embedding, its normalization and a classifier.
    assert {part: len(names) for part, names in left_out.items()} == ({"a head of 100 classes": 7} if body else {})
    network = load_model(made, **({"pooling": "avg"} if body else {"classifier_activation": None}))
    answer = network(images, training=False)
    answer = np.asarray(answer["predictions"] if isinstance(answer, dict) else answer)
    wanted = expected[output][:, -answer.shape[1] :]
    np.testing.assert_allclose(answer, wanted, rtol=0, atol=TOLERANCE * np.abs(expected[output]).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "original", "size"),
    [
        ("inception_v3", keras.applications.InceptionV3, 75),
        ("inception_resnet_v2", keras.applications.InceptionResNetV2, 75),
        ("vgg16", keras.applications.VGG16, 32),
        ("vgg19", keras.applications.VGG19, 32),
    ],
)
def test_files_of_keras_2(tmp_path, model, original, size):
    """The files that keras.applications publishes are of Keras 2, with numbered layers and names that end in :0."""
    keras.backend.clear_session()
    theirs = original(weights=None, input_shape=(size, size, 3), classes=9)
    for number, weight in enumerate(theirs.weights):
        shape = tuple(weight.shape)
        leaf = weight.path.rpartition("/")[2].replace("moving_variance", "running_var")
        # golden.tensor recognizes a kernel in TensorFlow's layout by its name.
        leaf = "weights" if leaf == "kernel" else leaf
        weight.assign(golden.tensor(f"{number}/{leaf}", shape, 0))
    weight_files.write_keras_2(tmp_path / "theirs.h5", weight_files.keras_2_layers(theirs))
    done = convert_weights(tmp_path / "theirs.h5", tmp_path / "ours.weights.h5", model, input_shape=(size, size, 3))
    assert done.loading.source == "keras_applications"
    images = golden.image((2, size, size, 3), 0)
    expected = np.asarray(theirs(images, training=False))
    np.testing.assert_allclose(load_model(done.path)(images, training=False), expected, rtol=0, atol=TOLERANCE)
    assert np.ptp(expected) > 0.01


@pytest.mark.slow
def test_a_body_without_a_head(written, tmp_path):
    """A file with the head of another task can still be converted, without that head."""
    body, state = caffe_body()
    state = state | {"landmarks.weight": np.zeros((7, 1024), "float32"), "landmarks.bias": np.zeros(7, "float32")}
    made = tmp_path / "body.weights.h5"
    done = convert_weights(written(state), made, "googlenet_bvlc", source="caffe", input_shape=(32, 32, 3))
    assert list(done.loading.left_out) == ["a head of 7 classes"]
    assert (done.card.labels, done.card.arguments) == ((), {"include_top": False})
    assert read_card(made) == done.card
    built = create_model("googlenet_bvlc", weights=made)
    assert built.output.shape == body.output.shape == (None, 1, 1, 1024)
    kernel = built.get_layer("inception_5b_1x1").kernel
    np.testing.assert_array_equal(kernel, state["inception_5b/1x1.weight"].transpose(2, 3, 1, 0))
    with pytest.raises(ValueError, match="without its top: build the model with include_top=False"):
        create_model("googlenet_bvlc", weights=made, include_top=True)
    with pytest.raises(ValueError, match="only the body of a network, which predicts no classes"):
        find_network(None, made)


@pytest.mark.parametrize(
    ("model", "source", "asked", "expected"),
    [
        ("vgg16", "torchvision", None, STANDARDIZED_RGB),
        ("vgg16", "keras_applications", None, model_record("vgg16").preprocessing),
        ("googlenet", "caffe", None, model_record("googlenet").preprocessing),
        ("googlenet_slim", "slim", "zero_to_one", dataclasses.replace(ZERO_TO_ONE, crop_fraction=0.875)),
        ("alexnet_caffe", "caffe", "mean_subtracted_bgr", model_record("alexnet_caffe").preprocessing),
        ("alexnet", "torchvision", MEAN_SUBTRACTED_BGR, MEAN_SUBTRACTED_BGR),
    ],
)
def test_preprocessing_is_that_of_the_source(model, source, asked, expected):
    """Publishers of the same network preprocess images differently, and wrong preprocessing silently costs accuracy."""
    assert conversion._preprocessing(model_record(model), source, asked) == expected


def test_what_a_published_file_is_travels_with_it(written, tmp_path, monkeypatch):
    _, state = caffe_body()
    file = written(state)
    row = next(one for one in PUBLISHED if one.name == "imagenet/bvlc")
    known = dataclasses.replace(row, size=None, checksum=f"sha1:{hashlib.sha1(file.read_bytes()).hexdigest()}")
    monkeypatch.setattr(catalogue, "PUBLISHED", (known,))
    card = convert_weights(file, tmp_path / "a.weights.h5", "googlenet_bvlc", input_shape=(32, 32, 3)).card
    assert (card.accuracy, card.licence, card.dataset) == (row.top1, row.licence, "imagenet2012")
    assert card.source == f"{row.url}, converted from caffe"
    np.savez(file, **{**state, "conv1/7x7_s2.bias": np.ones(64, "float32")})
    card = convert_weights(file, tmp_path / "b.weights.h5", "googlenet_bvlc", input_shape=(32, 32, 3)).card
    assert (card.accuracy, card.licence, card.dataset) == (None, None, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "googlenet_bvlx"}, "did you mean"),
        ({"output": "ours.h5"}, r"a file named \*.weights.h5"),
        ({"source": "torch"}, "`source` must be one of caffe"),
        ({"preprocessing": "tf"}, "`preprocessing` must be one of minus_one_to_one"),
        ({"labels": ["a", "b"]}, "a label for each of the 0 classes"),
        ({"model": "googlenet"}, r"missing|does not fit|another shape"),
        ({"model": "googlenet_slim"}, "no batch normalization"),
        pytest.param({"model": "inception_v4"}, "no counterpart of layer", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_what_cannot_be_converted(written, tmp_path, arguments, message):
    _, state = caffe_body()
    if arguments == {"model": "googlenet"}:
        state = {name: array for name, array in state.items() if name != "conv1/7x7_s2.bias"}
    file = written(state)
    given = {"output": "ours.weights.h5", "model": "googlenet_bvlc", "input_shape": (75, 75, 3), **arguments}
    output = tmp_path / given.pop("output")
    with pytest.raises(ValueError, match=message):
        convert_weights(file, output, **given)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_labels_of_another_number(written, tmp_path):
    state, _, _ = golden.load("slim_inception_v1")
    with pytest.raises(ValueError, match=r"a label for each of the 1000 classes that .* Received: 2 labels"):
        convert_weights(written(state), tmp_path / "ours.weights.h5", "googlenet_slim", labels=["a", "b"])


@pytest.mark.slow
def test_the_command(written, tmp_path, capsys, root, monkeypatch):
    """The output lets users check the conversion: where tensors went, the classes and predictions for an image."""
    monkeypatch.setenv("COLUMNS", "100")
    state, _, _ = golden.load("slim_inception_v1")
    made = tmp_path / "ours.weights.h5"
    image = root / "googlenet_keras" / "assets" / "grace_hopper.jpg"
    command = [str(written(state)), "--model", "googlenet_slim", "--output", str(made), "--check", str(image)]
    assert convert.main(command) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) < 40
    assert "Traceback" not in printed.err
    assert re.search(r"inception_3a\s+12\s+24\s+InceptionV1/Mixed_3b/Branch_\*", printed.out)
    assert re.search(r"top\s+1\s+2\s+InceptionV1/Logits/Conv2d_0c_1x1/\*", printed.out)
    assert "1000 classes, tench to toilet tissue" in printed.out
    assert "RGB, (pixels - 127.5) * 0.00784314" in printed.out
    assert sum(line.rstrip().endswith("%") or "% " in line for line in lines) >= 5


def test_the_commands_refusals(tmp_path, capsys):
    text = tmp_path / "theirs.keras"
    text.write_text("x")
    for flags in (["--model", "vgg16"], ["--model", "vgg16", "--check", str(tmp_path / "none.jpg")]):
        assert convert.main([str(text), *flags, "--output", str(tmp_path / "ours.weights.h5")]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [text.name]


@pytest.mark.slow
def test_a_file_that_keras_applications_saved(tmp_path, capsys):
    """Keras 3 names the layers by the numbers of its session, and such a file can be converted too."""
    theirs = keras.applications.InceptionV3(weights=None, input_shape=(75, 75, 3), classes=3)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    (tmp_path / "labels.txt").write_text("cat\ndog\nbird\n")
    command = [str(tmp_path / "theirs.weights.h5"), "--model", "inception_v3", "--input-shape", "75", "75", "3"]
    command += ["--labels", str(tmp_path / "labels.txt"), "--preprocessing", "zero_to_one"]
    assert convert.main([*command, "--output", str(tmp_path / "ours.weights.h5")]) == 0
    assert re.search(r"top\s+1\s+2\s+predictions/\*", capsys.readouterr().out)
    ours = load_model(tmp_path / "ours.weights.h5")
    card = read_card(tmp_path / "ours.weights.h5")
    assert (card.labels, card.preprocessing.scale) == (("cat", "dog", "bird"), ZERO_TO_ONE.scale)
    images = golden.image((2, 75, 75, 3), 0)
    np.testing.assert_allclose(ours(images), theirs(images), rtol=0, atol=1e-6)


def test_flags_name_what_there_is():
    """The help must list every preprocessing and every source that the package knows."""
    help_text = " ".join(convert.parser().format_help().split())
    for name in (*PREPROCESSINGS, "caffe", "facenet", "keras", "keras_applications", "slim", "timm", "torchvision"):
        assert re.search(rf"\b{name}\b", help_text), name
