"""What holds for every model that the registry lists."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import RECORD

from googlenet_keras import create_model, list_models, model_record, preprocess_input
from googlenet_keras.deploy.signatures import write_saved_model
from googlenet_keras.models import serving_model

CLASSES = 7
# Inception modules, residual blocks, and batch normalization with an auxiliary head.
QUICK = ("mnist_inception", "mnist_residual", RECORD.name)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in (*list_models(), RECORD.name)
    ],
)
def name(request, tiny):
    return request.param


@pytest.fixture(scope="module")
def shape(name):
    """Of an input that is large enough for the network and its heads."""
    record = model_record(name)
    if record.name.startswith("mnist"):
        return (28, 28, 1)
    size = max(96, record.minimum_size, record.minimum_size_of_aux_heads or 0)
    return (size, size, 3)


@pytest.fixture(scope="module")
def build(name, shape):
    """The factory, with what these tests have in common; all that a model can have is built with ``heads``."""

    def create(heads=False, **arguments):
        aux = {"aux_heads": True} if heads and model_record(name).aux_heads else {}
        defaults = {"input_shape": shape, "classes": CLASSES, "classifier_activation": "softmax"}
        return create_model(name, **{**defaults, **aux, **arguments})

    return create


@pytest.fixture(scope="module")
def model(build):
    keras.utils.set_random_seed(1)
    result = build()
    randomize_moments(result)
    return result


@pytest.fixture(scope="module")
def with_heads(build):
    keras.utils.set_random_seed(1)
    return build(heads=True)


@pytest.fixture
def images(shape):
    return np.random.default_rng(2).uniform(-1, 1, (2, *shape)).astype("float32")


def answers(model, images, **options):
    """Its answers by name, whether it has heads or not."""
    result = model(images, **options)
    return result if isinstance(result, dict) else {"predictions": result}


def randomize_moments(model):
    """Moving moments other than 0 and 1, which a lost or swapped weight would leave as they were."""
    generator = np.random.default_rng(3)
    for variable in model.non_trainable_variables:
        if "moving" in variable.name:
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def test_defaults_answer(name):
    model = create_model(name)
    assert model.name == name
    assert model.output.shape == (None, model_record(name).arguments.get("classes", 1000))


def test_config_round_trip(model, images):
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(images), model(images))


def test_keras_file_round_trip(with_heads, images, tmp_path):
    with_heads.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = answers(with_heads, images)
    for head, answer in answers(again, images).items():
        np.testing.assert_array_equal(answer, expected[head])


def test_weight_file_round_trip(build, model, images, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(build(weights=tmp_path / "model.weights.h5")(images), model(images))


def test_clone(model, images):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(images), model(images))


def test_gradients_reach_every_weight(with_heads, images):
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(answer**2) for answer in answers(with_heads, images, training=True).values())
    for variable, gradient in zip(
        with_heads.trainable_variables, tape.gradient(loss, with_heads.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


def test_mixed_precision(name, build, model, images):
    mixed = build(heads=True, dtype="mixed_bfloat16")
    assert mixed.get_layer(model_record(name).endpoints[-1]).output.dtype == "bfloat16"
    for head, answer in answers(mixed, images).items():
        assert answer.dtype == "float32", head
        np.testing.assert_allclose(np.sum(answer, axis=-1), 1, rtol=1e-5)  # a softmax in bfloat16 misses by 1e-2
    for layer in model.layers:
        mixed.get_layer(layer.name).set_weights(layer.get_weights())
    # bfloat16 carries 8 bits, and the errors of some twenty layers add up.
    np.testing.assert_allclose(answers(mixed, images)["predictions"], model(images), atol=0.05)


def test_input_tensor(build, shape, model, images):
    raw = keras.Input(shape, name="raw")
    built = build(input_tensor=keras.layers.Rescaling(2.0)(raw), input_shape=None)
    assert built.input is raw
    built.set_weights(model.get_weights())
    np.testing.assert_allclose(built(images / 2), model(images), rtol=1e-5)


def test_without_top(name, build, shape, model, images):
    expected = keras.Model(model.input, model.get_layer(model_record(name).endpoints[-1]).output)(images)
    for pooling, reduce, body_shape in [
        (None, lambda x, axis: x, (None, None, shape[-1])),
        ("avg", np.mean, shape),
        ("max", np.max, shape),
    ]:
        body = build(include_top=False, input_shape=body_shape, pooling=pooling)
        assert "predictions" not in {layer.name for layer in body.layers}
        assert body.input.shape == (None, *body_shape)
        for layer in body.layers:
            layer.set_weights(model.get_layer(layer.name).get_weights() if layer.weights else [])
        np.testing.assert_allclose(body(images), reduce(expected, axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_names_do_not_depend_on_the_session(build, with_heads):
    first, second = with_heads, build(heads=True)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]


def test_layout_is_not_the_sessions(build, model):
    keras.config.set_image_data_format("channels_first")
    try:
        other = build()
    finally:
        keras.config.set_image_data_format("channels_last")
    assert [layer.output.shape for layer in other.layers] == [layer.output.shape for layer in model.layers]


def test_endpoints_are_layers(name, model):
    endpoints = model_record(name).endpoints
    places = [[layer.name for layer in model.layers].index(endpoint) for endpoint in endpoints]
    assert places == sorted(places)


def test_export_and_reload(name, shape, model, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(CLASSES))))
    preprocessing = model_record(name).preprocessing
    folder = tmp_path / "saved"
    write_saved_model(serving_model(model), folder, preprocessing=preprocessing, assets=[tmp_path / "labels.txt"])
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "serve_images", "serve_bytes", "features"}
    assert (folder / "assets" / "labels.txt").read_text() == (tmp_path / "labels.txt").read_text()
    for batch_size in (1, 5):
        pixels = np.random.default_rng(4).integers(0, 256, (batch_size, *shape), dtype="uint8")
        images = preprocess_input(pixels, name)
        received = loaded.signatures["serving_default"](images=tf.constant(images))
        assert set(received) == {"probabilities"}
        np.testing.assert_allclose(received["probabilities"], model(images), rtol=1e-5, atol=1e-6)
    again = loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"]
    np.testing.assert_array_equal(again, received["probabilities"])  # nothing random is left


def test_unknown_name_says_what_is_near():
    with pytest.raises(ValueError, match=r"did you mean .*googlenet_bn.*Received: 'googlenet_nb'"):
        create_model("googlenet_nb")
