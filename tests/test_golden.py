"""Independent implementations and ours compute the same function: published weights will work."""

import functools

import golden
import numpy as np
import pytest

from googlenet_keras import create_model, feature_extractor, load_state

# Of the largest output: float32 in another order of additions through 22 layers.
TOLERANCE = 1e-4


def caffe_names_of_d2l(state):
    """The d2l golden's own names (a stage each, `p3_2` for the second layer of the third path) as Caffe's."""
    trunk = {
        "conv1": "conv1/7x7_s2",
        "conv2_reduce": "conv2/3x3_reduce",
        "conv2": "conv2/3x3",
        "fc": "loss3/classifier",
    }
    paths = {
        "p1_1": "1x1",
        "p2_1": "3x3_reduce",
        "p2_2": "3x3",
        "p3_1": "5x5_reduce",
        "p3_2": "5x5",
        "p4_2": "pool_proj",
    }
    renamed = {}
    for name, array in state.items():
        layer, leaf = name.rsplit(".", 1)
        module, _, path = layer.partition(".")
        renamed[f"{module}/{paths[path]}.{leaf}" if path else f"{trunk[layer]}.{leaf}"] = array
    return renamed


# file, model, source, arguments, scale of the input, names of the outputs
CASES = [
    (
        "torchvision_googlenet",
        "googlenet_torchvision",
        "torchvision",
        {"aux_heads": True},
        1,
        {"logits": "predictions"},
    ),
    (
        "torchvision_googlenet_odd",
        "googlenet_torchvision",
        "torchvision",
        {"input_shape": (191, 170, 3)},
        1,
        {"logits": "predictions"},
    ),
    ("bvlc_googlenet", "googlenet_bvlc", "caffe", {"aux_heads": True}, 100, {"logits": "predictions"}),
    ("slim_inception_v1", "googlenet_slim", "slim", {"classes": 1001}, 1, {"logits_1001": "predictions"}),
    ("d2l_googlenet", "googlenet_d2l", "caffe", {}, 1, {"logits": "predictions"}),
]


def assert_near(received, expected):
    np.testing.assert_allclose(received, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


@functools.cache
def loaded(file, name, source, **arguments):
    """The network with the file's weights, the images, and what the independent implementation answers to them."""
    state, images, expected = golden.load(file)
    if file.startswith("d2l"):
        state = caffe_names_of_d2l(state)
    model = create_model(name, classifier_activation=None, **arguments)
    load_state(model, state, source)
    return model, images, expected


@pytest.mark.parametrize(("file", "name", "source", "arguments", "scale", "outputs"), CASES, ids=[c[0] for c in CASES])
def test_answers_of_the_independent_implementation(file, name, source, arguments, scale, outputs):
    model, images, expected = loaded(file, name, source, **arguments)
    answers = model(images * scale, training=False)
    answers = answers if isinstance(answers, dict) else {"predictions": answers}

    heads = {key: array for key, array in expected.items() if not key.startswith("mean_")}
    assert {outputs.get(key, key) for key in heads} == set(answers)
    for key, array in heads.items():
        assert_near(answers[outputs.get(key, key)], array)

    means = {key.removeprefix("mean_"): array for key, array in expected.items() if key.startswith("mean_")}
    if means:
        features = feature_extractor(model, [f"inception_{module}" for module in means])(images * scale, training=False)
        for module, array in means.items():
            assert_near(np.mean(features[f"inception_{module}"], axis=(1, 2)), array)


def test_slim_head_loses_its_background_class():
    state, images, expected = golden.load("slim_inception_v1")
    model = create_model("googlenet_slim", classifier_activation=None)
    load_state(model, state, "slim")
    assert_near(model(images, training=False), expected["logits_1001"][:, 1:])


def test_aux_heads_are_told_apart():
    """Their order is torchvision's old bug (vision#8743): a swap would not show in shapes."""
    model, images, expected = loaded("torchvision_googlenet", "googlenet_torchvision", "torchvision", aux_heads=True)
    aux1 = np.asarray(model(images, training=False)["aux1"])
    assert np.abs(aux1 - expected["aux2"]).max() > 100 * TOLERANCE * np.abs(expected["aux2"]).max()
