"""The later Inception networks against independent implementations and published counts."""

import golden
import keras
import numpy as np
import pytest

from googlenet_keras import InceptionResNetV1, InceptionV2, InceptionV3, create_model, feature_extractor, load_state
from googlenet_keras.describe import count_multiply_adds
from googlenet_keras.models import model_record

# Parameters for 1000 classes as Keras counts them, multiply-adds, the auxiliary head's parameters. Sources: the tests
# of TF-slim (inception_v2: 10,173,112 without its classifier), keras.applications (inception_v3, inception_resnet_v2),
# the file sizes of light_inception_v2.onnx (bn_inception), torchvision's and timm's published counts.
COSTS = {
    "inception_v2": (11_198_112, 1_934_857_216, None),
    "bn_inception": (11_214_888, 2_018_851_840, None),
    "inception_v3": (23_851_784, 5_713_216_096, 3_327_592),
    "inception_v4": (42_711_400, 12_253_974_624, 3_360_360),
    "inception_resnet_v1": (24_371_384, 6_308_597_856, None),
    "inception_resnet_v2": (55_873_736, 13_155_794_016, 3_368_552),
}
pytestmark = pytest.mark.slow

# Of the largest output: float32 in another order of additions.
TOLERANCE = 1e-4


@pytest.mark.parametrize("name", COSTS)
def test_costs(name):
    parameters, multiply_adds, head = COSTS[name]
    model = create_model(name)
    assert model.count_params() == parameters
    # torchvision, timm and light_inception_v2.onnx publish these sums; TF-slim's separable stem costs
    # (7 x 7 x 3 x 8 + 24 x 64) x 112 x 112, the full one 7 x 7 x 3 x 64 x 112 x 112.
    assert count_multiply_adds(model) == multiply_adds
    if head:
        assert create_model(name, aux_heads=True).count_params() == parameters + head


def test_paper_has_five_blocks_at_the_end():
    assert InceptionResNetV1(last_block=False).count_params() == 22_769_848


# file, model, source, arguments, output
CASES = [
    ("slim_inception_v2", "inception_v2", "slim", {"classes": 1001}, "logits_1001"),
    ("slim_inception_v3", "inception_v3", "slim", {"classes": 1001, "aux_heads": True}, "logits_1001"),
    ("slim_inception_v4", "inception_v4", "slim", {"classes": 1001, "aux_heads": True}, "logits_1001"),
    ("slim_inception_resnet_v2", "inception_resnet_v2", "slim", {"classes": 1001, "aux_heads": True}, "logits_1001"),
    # As its weights were trained, with averages that leave out what lies beyond the border; torchvision counts zeros.
    ("torchvision_inception_v3", "inception_v3", "torchvision", {"aux_heads": True}, "logits"),
    ("timm_inception_v4", "inception_v4", "timm", {}, "logits"),
    ("timm_inception_resnet_v2", "inception_resnet_v2", "timm", {}, "logits"),
    (
        "facenet_inception_resnet_v1",
        "inception_resnet_v1",
        "facenet",
        {"include_top": False, "pooling": "avg", "input_shape": (160, 160, 3)},
        "pooled",
    ),
]


def assert_near(received, expected):
    np.testing.assert_allclose(received, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())


@pytest.mark.parametrize(("file", "name", "source", "arguments", "output"), CASES, ids=[case[0] for case in CASES])
def test_answers_of_the_independent_implementation(file, name, source, arguments, output):
    """The scales of PyTorch's normalizations go into kernels and means: the networks here have none."""
    state, images, expected = golden.load(file)
    model = create_model(name, classifier_activation=None, **arguments)
    assert load_state(model, state).source == source
    answer = model(images, training=False)
    if "aux_heads" in arguments:
        assert_near(answer["aux"], expected["aux"])
        answer = answer["predictions"]
    assert_near(answer, expected[output])


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("inception_v3", keras.applications.InceptionV3),
        ("inception_resnet_v2", keras.applications.InceptionResNetV2),
    ],
)
def test_keras_applications_answer_alike(name, original):
    """Its layers have numbers for names, from session to session others, and stand in the graph's order."""
    size = 139
    theirs = original(weights=None, input_shape=(size, size, 3), classes=9, classifier_activation=None)
    generator = np.random.default_rng(0)
    for weight in theirs.weights:
        shape = tuple(weight.shape)
        if "variance" in weight.path:
            weight.assign(generator.uniform(0.5, 1.5, shape))
        else:
            weight.assign(generator.normal(0, 0.1 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[:-1])), shape))
    ours = create_model(name, input_shape=(size, size, 3), classes=9, classifier_activation=None)
    load_state(ours, {weight.path: np.asarray(weight) for weight in theirs.weights}, "keras_applications")
    images = generator.uniform(-1, 1, (2, size, size, 3))
    expected = np.asarray(theirs(images, training=False))
    np.testing.assert_allclose(ours(images, training=False), expected, atol=1e-5 * np.abs(expected).max())


def test_a_missing_layer_of_keras_applications_is_said():
    model = InceptionV3(input_shape=(75, 75, 3), classes=3)
    state = {weight.path: np.asarray(weight) for weight in model.weights if "mixed_7c_branch3_1" not in weight.path}
    with pytest.raises(ValueError, match=r"4 missing \(mixed_7c_branch3_1/kernel"):
        load_state(model, state, "keras_applications")


@pytest.mark.parametrize("name", COSTS)
def test_smallest_inputs(name):
    """What the record says works, and one pixel less is refused in words."""
    record = model_record(name)
    assert create_model(name, input_shape=(record.minimum_size, record.minimum_size, 3)).output.shape == (None, 1000)
    if record.minimum_size > 1:
        with pytest.raises(ValueError, match=f"at least {record.minimum_size}x{record.minimum_size} pixels"):
            create_model(name, input_shape=(record.minimum_size - 1, record.minimum_size, 3))
    if record.aux_heads:
        smallest = record.minimum_size_of_aux_heads
        built = create_model(name, input_shape=(smallest, smallest, 3), aux_heads=True)
        assert built.get_layer("aux_pool").output.shape[1:3] == (1, 1)
        with pytest.raises(ValueError, match=f"at least {smallest}x{smallest} pixels"):
            create_model(name, input_shape=(smallest, smallest - 1, 3), aux_heads=True)


# Height and width of the last map, at some sizes. Sources: the tests of TF-slim and of keras.applications.
@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("inception_v2", {112: 4, 224: 7}),
        ("inception_v3", {75: 1, 150: 3, 299: 8}),
        ("inception_v4", {75: 1, 150: 3, 299: 8}),
        ("inception_resnet_v1", {75: 1, 150: 3, 299: 8}),
        ("inception_resnet_v2", {75: 1, 150: 3, 299: 8}),
    ],
)
def test_last_maps(name, maps):
    model = create_model(name, include_top=False)
    for size, extent in maps.items():
        assert model.compute_output_shape((None, size, size, 3))[1:3] == (extent, extent)


# Of the maps at 299x299 (224 for inception_v2), from the published tables.
ENDPOINTS = {
    "inception_v2": {
        "inception_3a": (28, 256),
        "inception_3c": (14, 576),
        "inception_4d": (14, 576),
        "inception_5b": (7, 1024),
    },
    "inception_v3": {
        "pool_5a": (35, 192),
        "mixed_5b": (35, 256),
        "mixed_6a": (17, 768),
        "mixed_7a": (8, 1280),
        "mixed_7c": (8, 2048),
    },
    "inception_v4": {"mixed_5a": (35, 384), "mixed_6a": (17, 1024), "mixed_7a": (8, 1536), "mixed_7d": (8, 1536)},
    "inception_resnet_v1": {
        "conv_4b_relu": (35, 256),
        "mixed_6a": (17, 896),
        "mixed_7a": (8, 1792),
        "block8_6": (8, 1792),
    },
    "inception_resnet_v2": {
        "mixed_5b": (35, 320),
        "mixed_6a": (17, 1088),
        "mixed_7a": (8, 2080),
        "conv_7b_relu": (8, 1536),
    },
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_endpoints(name):
    outputs = feature_extractor(create_model(name), list(ENDPOINTS[name])).output
    assert {key: tensor.shape[2:] for key, tensor in outputs.items()} == ENDPOINTS[name]
    assert set(model_record(name).endpoints) <= {layer.name for layer in create_model(name).layers}


def test_aux_head_is_answered_by_name():
    model = InceptionV3(input_shape=(107, 107, 3), classes=5, aux_heads=True)
    answers = model(np.zeros((2, 107, 107, 3)))
    assert {head: answer.shape for head, answer in answers.items()} == {"predictions": (2, 5), "aux": (2, 5)}


def test_stems_of_inception_v2():
    separable, full = InceptionV2(), InceptionV2(separable_stem=False)
    assert separable.name == "inception_v2"
    assert full.name == "bn_inception"
    assert separable.get_layer("conv1_7x7").count_params() == 7 * 7 * 3 * 8 + 24 * 64 + 64
    assert full.get_layer("conv1_7x7").count_params() == 7 * 7 * 3 * 64
