"""Every factory shows its arguments, every record its network's shapes, and every network finds its own weights."""

import dataclasses
import functools
import inspect
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from googlenet_keras import (
    PUBLISHED,
    VGG,
    GoogLeNet,
    InceptionResNetV1,
    InceptionV2,
    InceptionV3,
    MNISTInception,
    create_model,
    list_models,
    model_record,
)
from googlenet_keras.models import conventions
from googlenet_keras.weights import catalogue

SHARED = {
    "include_top": True,
    "weights": None,
    "input_tensor": None,
    "input_shape": None,
    "pooling": None,
    "classes": 1000,
    "classifier_activation": "softmax",
    "name": None,
}
LAST = {"kernel_regularizer": None, "dtype": None}
FACTORIES = {model_record(name).factory.__name__: model_record(name).factory for name in list_models()}


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_arguments_stand_as_in_keras_applications(factory):
    """A call by position, written for keras.applications, means the same here."""
    parameters = list(inspect.signature(factory).parameters.values())
    positional = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert [one.name for one in positional] == list(SHARED)
    assert {one.kind for one in parameters[len(positional) :]} == {inspect.Parameter.KEYWORD_ONLY}
    assert {one.name: one.default for one in parameters[-2:]} == LAST
    small = factory.__name__ in ("NiN", "MNISTInception", "MNISTResidual")
    own_name = factory.__name__ in ("InceptionV3", "InceptionV4", "InceptionResNetV1", "InceptionResNetV2")
    expected = SHARED | ({"classes": 10, "classifier_activation": None} if small else {})
    assert {one.name: one.default for one in positional} == expected | (
        {"name": next(name for name in list_models() if model_record(name).factory is factory)} if own_name else {}
    )


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_help_explains_every_argument(factory):
    documentation = inspect.getdoc(factory)
    assert documentation.startswith("Builds ")
    arguments = documentation.partition("\nArgs:\n")[2].partition("\n\nReturns:\n")[0]
    explained = re.findall(r"^    (\w+): \S", arguments, re.MULTILINE)
    assert explained == list(inspect.signature(factory).parameters)
    assert str(next(iter(records_of(factory))).default_shape) in arguments
    assert not re.search(r"\b(OWN_|AUX_|LEAST_)", documentation)
    assert "\nRaises:\n" in documentation
    assert max(map(len, documentation.splitlines())) <= 120


def records_of(factory):
    return [model_record(name) for name in list_models() if model_record(name).factory is factory]


@pytest.mark.parametrize("factory", FACTORIES.values(), ids=FACTORIES)
def test_unknown_arguments_are_named(factory):
    with pytest.raises(TypeError, match=rf"{factory.__name__}\(\) got an unexpected keyword argument 'clases'"):
        factory(clases=10)
    with pytest.raises(TypeError, match="too many positional arguments"):
        factory(*SHARED.values(), None)


SMALL = ("googlenet_d2l", "mnist_residual")


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(n, marks=pytest.mark.slow) for n in list_models() if n not in SMALL)]
)
def test_own_shape_is_what_is_built(name):
    """Who needs the size of a network's images need not build the network."""
    assert create_model(name).input.shape[1:] == model_record(name).input_shape


def test_own_shapes():
    shapes = {
        name: model_record(name).input_shape for name in ("inception_v3", "alexnet_caffe", "googlenet_d2l", "nin")
    }
    assert shapes == {
        "inception_v3": (299, 299, 3),
        "alexnet_caffe": (227, 227, 3),
        "googlenet_d2l": (96, 96, 1),
        "nin": (224, 224, 1),
    }


@functools.cache
def endpoint_shapes(name):
    """At the size that the table's comments are about."""
    record = model_record(name)
    return record.endpoint_shapes(record.default_shape)


@pytest.mark.parametrize(
    "name", ["googlenet", pytest.param("googlenet_bn", marks=pytest.mark.slow), "mnist_inception", "vgg11"]
)
def test_endpoints_are_what_building_answers(name):
    """`feature_extractor` and the descriptions take a stage by its name: it must be that layer, and the stage's end."""
    record = model_record(name)
    body = create_model(name, include_top=False, input_shape=record.default_shape)
    shapes = {endpoint: body.get_layer(endpoint).output.shape[1:] for endpoint in record.endpoints}
    assert shapes == endpoint_shapes(name)
    assert list(shapes) == list(endpoint_shapes(name))
    assert body.output is body.get_layer(record.endpoints[-1]).output


def test_asking_for_shapes_draws_no_random_number():
    """A seeded training must not depend on whether somebody looked at a record."""
    keras.utils.set_random_seed(3)
    expected = create_model("mnist_residual").get_weights()
    keras.utils.set_random_seed(3)
    assert model_record("googlenet").endpoint_shapes((33, None, 3))["inception_5b"] == (2, None, 1024)
    for ours, theirs in zip(create_model("mnist_residual").get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def commented_shapes(file):
    """(pattern of the endpoint's name, shape) of the comments in a family's file.

    A comment is about the last name in its line, ``"name": ...  # 28x28x256``, or says the name itself:
    ``# block1_pool 112x112x64, ...``.
    """
    for line in file.read_text().splitlines():
        code, _, comment = line.partition("#")
        for name, shape in re.findall(r"(\w+ )?\b(\d+x\d+x\d+)\b", comment):
            keys = re.findall(r'"([^"]+)":|_repeated\("(\w+)"|f"([^"]+)": ', code)
            if name or keys:
                key = name.strip() or "".join(keys[-1])
                yield re.sub(r"\{\w+\}", r"\\w", key) + r"(_relu|_\d+)?", tuple(map(int, shape.split("x")))


@pytest.mark.parametrize(
    "factory",
    [
        pytest.param(
            factory, id=name, marks=pytest.mark.slow if name.startswith(("GoogLeNet", "Inception", "VGG")) else []
        )
        for name, factory in FACTORIES.items()
    ],
)
def test_comments_beside_the_tables_are_the_networks_shapes(factory, root):
    """Who reads a table relies on them, and nothing but this test ties them to it."""
    file = root.joinpath(*sys.modules[factory.__module__].__name__.split(".")).with_suffix(".py")
    comments = list(commented_shapes(file))
    in_file = {
        item
        for other in FACTORIES.values()
        if other.__module__ == factory.__module__
        for record in records_of(other)
        for item in endpoint_shapes(record.name).items()
    }
    for pattern, shape in comments:
        assert any(re.fullmatch(pattern, name) and built == shape for name, built in in_file), (pattern, shape)
    for record in records_of(factory):
        for name, shape in endpoint_shapes(record.name).items():
            assert shape in [shape for pattern, shape in comments if re.fullmatch(pattern, name)], name


@pytest.fixture
def of_mnist(monkeypatch):
    """Weights under the name "digits" that belong to mnist_inception, vgg11 and the like; and what is loaded."""
    loaded = []
    entries = [
        dataclasses.replace(PUBLISHED[0], model=name, name="digits")
        for name in ("mnist_inception", "vgg11", "inception_v2", "inception_resnet_v1", "googlenet_bn", "inception_v3")
    ]
    monkeypatch.setattr(catalogue, "PUBLISHED", tuple(entries))
    monkeypatch.setattr(catalogue.PublishedWeights, "path", lambda self: Path(self.model))
    monkeypatch.setattr(conventions, "read_card", lambda path: None)
    monkeypatch.setattr(conventions, "load_weights", lambda model, path: loaded.append((path.name, model.name)))
    return loaded


GREY = {"input_shape": (32, 32, 1), "classes": 10, "weights": "digits"}
VGG11 = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))


@pytest.mark.parametrize(
    ("factory", "arguments", "network"),
    [
        (MNISTInception, {}, "mnist_inception"),
        (VGG, {"conv_arch": VGG11, "include_top": False}, "vgg11"),
        (VGG, {"conv_arch": [list(row) for row in VGG11], "include_top": False, "dtype": "bfloat16"}, "vgg11"),
        pytest.param(InceptionV2, {"dropout": 0}, "inception_v2", marks=pytest.mark.slow),
        pytest.param(InceptionV3, {"input_shape": (75, 75, 1)}, "inception_v3", marks=pytest.mark.slow),
        (GoogLeNet, {"variant": "bn", "normalization": "batch"}, "googlenet_bn"),
    ],
)
def test_a_renamed_model_finds_its_networks_weights(of_mnist, factory, arguments, network):
    """Published weights are for a network, whatever its owner calls the model."""
    factory(name="mine", **{**GREY, **arguments})
    assert of_mnist == [(network, "mine")]


@pytest.mark.parametrize(
    ("factory", "arguments"),
    [
        (VGG, {"conv_arch": ((1, 64), (1, 128), (1, 256), (3, 512), (2, 512))}),  # vgg11 by its count of layers
        (VGG, {"conv_arch": VGG11, "width": 1 / 2}),
        (GoogLeNet, {"variant": "bn", "normalization": "none"}),
        pytest.param(InceptionResNetV1, {"input_shape": (75, 75, 1), "last_block": False}, marks=pytest.mark.slow),
        pytest.param(InceptionV2, {"separable_stem": False, "name": "inception_v2"}, marks=pytest.mark.slow),
    ],
)
def test_a_network_of_ones_own_has_no_published_weights(of_mnist, factory, arguments):
    """They would fit in part, or not at all, and the message must not blame the file."""
    with pytest.raises(ValueError, match=r"'digits' belong to another network: .* for (this network|bn_inception)"):
        factory(**{**GREY, "include_top": False, **arguments})
    assert not of_mnist
