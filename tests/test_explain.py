"""What is drawn of a network is true: gradients, maps and images that are made for a class."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from googlenet_keras import create_model, feature_extractor, model_record
from googlenet_keras.commands import explain as command
from googlenet_keras.explain import (
    Subject,
    branch_responses,
    dream,
    find_target,
    grad_cam,
    plot_filters,
    smooth_grad,
    visualize,
)
from googlenet_keras.explain.attribution import pixel_gradient
from googlenet_keras.explain.visualization import _image, _spectrum
from googlenet_keras.images.preprocessing import ZERO_TO_ONE

NUMBERS = [str(number) for number in range(10)]
ANKLE_BOOT = 9


@pytest.fixture(scope="module")
def model(tiny):
    keras.utils.set_random_seed(0)
    return create_model(tiny, aux_heads=True, classifier_activation="softmax")


@pytest.fixture(scope="module")
def subject(model):
    return Subject(model, ZERO_TO_ONE, NUMBERS)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0, 255, (32, 32, 1)).astype("float32")


def test_the_logits_are_those_of_the_network(subject, model, image):
    """Auxiliary heads are left out, and the softmax is taken off."""
    inputs = ZERO_TO_ONE(image[None])
    expected = model(inputs, training=False)["predictions"]
    logits = subject.model(inputs, training=False)
    np.testing.assert_allclose(tf.nn.softmax(logits), expected, rtol=1e-5)
    assert np.ptp(logits) > 0
    assert not np.isclose(np.sum(logits), 1)


def test_grad_cam_at_a_global_average_is_the_class_activation_map(subject, image):
    """Zhou et al., CVPR 2016, equation 2: the maps by the weights of the class; the average divides by the places."""
    name = subject.last_maps()
    maps = feature_extractor(subject.model, [name])(ZERO_TO_ONE(image[None]))[name].numpy()[0]
    weights = subject.model.get_layer("predictions").kernel.numpy()
    activation_maps = maps @ weights / maps[..., 0].size
    for index in range(10):
        by_hand = np.maximum(activation_maps[..., index], 0)
        np.testing.assert_allclose(grad_cam(subject, image, index), by_hand, rtol=1e-4, atol=1e-7)


def test_gradients_are_finite_differences(subject, image):
    gradient = pixel_gradient(subject, tf.constant(image[None]), 3).numpy()[0]
    direction = gradient / np.linalg.norm(gradient)
    step = 0.5  # of 255: float32 has some four digits left of so small a difference, and few ReLUs change side
    ahead, behind = (
        subject.model(ZERO_TO_ONE((image + sign * step * direction)[None]), training=False)[0, 3] for sign in (1, -1)
    )
    np.testing.assert_allclose((ahead - behind) / (2 * step), np.linalg.norm(gradient), rtol=0.02)
    without_noise = smooth_grad(subject, image, 3, samples=1, noise=0)
    np.testing.assert_allclose(without_noise, np.abs(gradient[..., 0]), rtol=1e-5)


def test_a_network_inside_a_network_is_explained(subject, model, image, tiny):
    inner = create_model(tiny, include_top=False)
    inner.set_weights([weight for layer in inner.layers for weight in model.get_layer(layer.name).get_weights()])
    inputs = keras.Input((32, 32, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(inner(inputs))
    outer = keras.Model(inputs, keras.layers.Dense(10, name="head", activation="softmax")(pooled))
    outer.get_layer("head").set_weights(model.get_layer("predictions").get_weights())
    nested = Subject(outer, ZERO_TO_ONE, NUMBERS)
    np.testing.assert_allclose(grad_cam(nested, image, 1), grad_cam(subject, image, 1), rtol=1e-4, atol=1e-7)
    assert len(branch_responses(nested, image, "mixed")) == 4


def test_branches_are_the_parts_of_the_module(subject, image):
    found = branch_responses(subject, image, "mixed")
    assert [one.title for one in found] == ["1x1", "1x1 → 3x3", "1x1 → 5x5", "pool → 1x1"]
    assert [one.first_channel for one in found] == [0, 8, 16, 24]
    whole = feature_extractor(subject.model, ["mixed"])(ZERO_TO_ONE(image[None]))["mixed"][0]
    np.testing.assert_allclose(np.concatenate([one.maps for one in found], axis=-1), whole, rtol=1e-5)
    np.testing.assert_allclose(found[1].mean, np.mean(whole[..., 8:16]), rtol=1e-5)


@pytest.mark.parametrize("shape", [(32, 32, 1), (30, 45, 3)])
def test_a_photograph_comes_back_from_its_spectrum(shape):
    """DeepDream begins at the photograph, in the basis of the frequencies and the decorrelated colours."""
    pixels = np.random.default_rng(0).uniform(20, 235, shape)
    made = 255 * _image(tf.constant(_spectrum(pixels)), shape[:2])
    np.testing.assert_allclose(made, pixels, atol=0.05)  # float32, by way of two transforms and a sigmoid


def answer(subject, image, target):
    found = feature_extractor(subject.model, [target.layer])(ZERO_TO_ONE(image[None]))[target.layer]
    return float(np.mean(found[..., target.channel]))


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("text", ["mixed:12", "7"])
def test_an_image_is_made_that_the_target_answers_more(subject, text):
    target = find_target(subject, text)
    first, last = (visualize(subject, target, steps=steps) for steps in (1, 12))
    assert answer(subject, last, target) > answer(subject, first, target)
    assert last.shape == (32, 32, 1)
    assert 0 <= last.min() < last.max() <= 255
    np.testing.assert_array_equal(visualize(subject, target, steps=1), first)  # the seed is all that is random


@pytest.mark.usefixtures("eagerly")
def test_a_dream_is_of_the_photograph_and_of_the_layer(subject, image):
    made = dream(subject, image, "mixed", steps=12, learning_rate=0.02)
    before, after = (
        np.mean(feature_extractor(subject.model, ["mixed"])(ZERO_TO_ONE(one[None]))["mixed"] ** 2)
        for one in (image, made)
    )
    assert after > before
    assert np.corrcoef(image.ravel(), made.ravel())[0, 1] > 0.5


@pytest.fixture(scope="module")
def weight_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.keras"
    model.save(path)
    return path


@pytest.fixture
def picture(tmp_path, image):
    path = tmp_path / "shoe.png"
    Image.fromarray(image[..., 0].astype("uint8")).save(path)
    return path


@pytest.mark.slow
def test_the_command_says_what_it_wrote(weight_file, picture, tmp_path, capsys):
    output = tmp_path / "pictures"
    options = ["--top", "1", "--module", "mixed", "--dream", "mixed", "--filters", "--visualize", "ankle boot"]
    (tmp_path / "no.png").write_bytes(b"no image")
    files = [weight_file, picture, tmp_path / "no.png"]
    assert command.main([*map(str, files), *options, "--steps", "2", "--output", str(output)]) == 1
    said = capsys.readouterr()
    names = ["filters", "visualize_Ankle_boot", "shoe_classes", "shoe_mixed", "shoe_dream_mixed"]
    assert said.out.split() == [str(output / f"{name}.png") for name in names]
    assert said.err.startswith(f"{tmp_path / 'no.png'}: not an image")
    assert sorted(path.name for path in output.iterdir()) == sorted(f"{name}.png" for name in names)
    for name in names:
        with Image.open(output / f"{name}.png") as opened:
            assert np.asarray(opened.convert("L")).std() > 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--module", "mixd"], "did you mean mixed?"),
        (["--dream", "mixd"], "did you mean mixed?"),
        (["--layer", "conv3"], "did you mean conv"),
        (["--visualize", "Ankle bot"], "did you mean Ankle boot?"),
        (["--visualize", "mixed"], "which channel"),
        (["--visualize", "mixed:32"], "from 0 to 31"),
        (["--visualize", "10"], "from 0 to 9"),
        (["--top", "0"], "--top must be at least 1"),
        (["--steps", "0"], "--steps must be at least 1"),
    ],
)
def test_what_is_misspelt_is_told_before_the_work(options, said, weight_file, picture, tmp_path, capsys):
    output = tmp_path / "pictures"
    assert command.main([str(weight_file), str(picture), *options, "--output", str(output)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not output.exists()


def test_of_an_exported_network_the_weight_file_is_asked_for(tmp_path, capsys):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    for network in (tmp_path, tmp_path / "network.onnx"):
        assert command.main([str(network), "image.png", "--output", str(tmp_path / "pictures")]) == 2
        assert "give the weight file that it was made of" in capsys.readouterr().err


def test_title_above_few_filters_is_whole(tmp_path):
    """Its picture ends in white on both sides."""
    subject = Subject(create_model("mnist_inception"), ZERO_TO_ONE, NUMBERS)
    plot_filters(subject, tmp_path / "filters.png")
    pixels = np.array(Image.open(tmp_path / "filters.png").convert("L"))
    assert pixels[:, [0, -1]].min() == 255


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["alexnet", "googlenet", "inception_resnet_v1", "inception_v3", "mnist_residual", "nin"]
)
def test_other_families(name, tmp_path):
    """LRN has a gradient, blocks have residuals, a top is dense, or no dense layer at all."""
    record = model_record(name)
    model = create_model(name, classes=10)
    subject = Subject(model, record.preprocessing, NUMBERS)
    image = np.random.default_rng(0).uniform(0, 255, (*subject.size, subject.channels)).astype("float32")
    heats = [grad_cam(subject, image, index) for index in range(4)]
    assert np.max(heats) > 0
    assert pixel_gradient(subject, tf.constant(image[None]), 0).numpy().any()
    plot_filters(subject, tmp_path / "filters.png")


@pytest.mark.slow
def test_the_shipped_network_looks_at_the_boot_and_makes_what_it_takes_for_one(root):
    subject = Subject.build("googlenet_bn", "fashion_mnist")
    image = subject.read(root / "googlenet_keras" / "assets" / "ankle_boot.png")
    assert subject.classify(image, top=1)[0].index == ANKLE_BOOT
    on_boot = image[..., 0] > 25
    for layer in ("inception_3b", "inception_5b"):
        heat = grad_cam(subject, image, ANKLE_BOOT, layer=layer)
        heat = tf.image.resize(heat[..., None], subject.size).numpy()[..., 0]
        assert heat[on_boot].mean() > heat[~on_boot].mean()
    made = visualize(subject, "Ankle boot", steps=64)
    found = subject.classify(made, top=1)[0]
    assert found.label == "Ankle boot"
    assert found.probability > 0.5
