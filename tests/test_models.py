"""What holds for every model that the registry lists."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import create_model, list_models, model_record, preprocess_input
from googlenet_keras.saved_model.signatures import serving_model, write_saved_model

SHAPE = (96, 96, 3)
CLASSES = 7


@pytest.fixture(scope="module", params=list_models())
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    keras.utils.set_random_seed(1)
    result = create_model(name, input_shape=SHAPE, classes=CLASSES, classifier_activation="softmax")
    randomize_moments(result)
    return result


@pytest.fixture(scope="module")
def with_heads(name):
    keras.utils.set_random_seed(1)
    return create_model(name, input_shape=SHAPE, classes=CLASSES, aux_heads=True)


@pytest.fixture
def images():
    return np.random.default_rng(2).uniform(-1, 1, (2, *SHAPE)).astype("float32")


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
    expected = with_heads(images)
    for head, answer in again(images).items():
        np.testing.assert_array_equal(answer, expected[head])


def test_weight_file_round_trip(name, model, images, tmp_path):
    model.save_weights(tmp_path / "model.weights.h5")
    again = create_model(
        name,
        input_shape=SHAPE,
        classes=CLASSES,
        classifier_activation="softmax",
        weights=tmp_path / "model.weights.h5",
    )
    np.testing.assert_array_equal(again(images), model(images))


def test_clone(model, images):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(images), model(images))


def test_gradients_reach_every_weight(with_heads, images):
    with tf.GradientTape() as tape:
        answers = with_heads(images, training=True)
        loss = sum(tf.reduce_sum(answer**2) for answer in answers.values())
    for variable, gradient in zip(
        with_heads.trainable_variables, tape.gradient(loss, with_heads.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


def test_mixed_precision(name, model, images):
    mixed = create_model(
        name,
        input_shape=SHAPE,
        classes=CLASSES,
        aux_heads=True,
        dtype="mixed_bfloat16",
        classifier_activation="softmax",
    )
    assert mixed.get_layer("inception_3a").output.dtype == "bfloat16"
    for head, answer in mixed(images).items():
        assert answer.dtype == "float32", head
        np.testing.assert_allclose(np.sum(answer, axis=-1), 1, rtol=1e-5)  # a softmax in bfloat16 misses by 1e-2
    for layer in model.layers:
        mixed.get_layer(layer.name).set_weights(layer.get_weights())
    # bfloat16 carries 8 bits, and the errors of some twenty layers add up.
    np.testing.assert_allclose(mixed(images)["predictions"], model(images), atol=0.05)


def test_input_tensor(name, model, images):
    raw = keras.Input(SHAPE, name="raw")
    built = create_model(
        name, input_tensor=keras.layers.Rescaling(2.0)(raw), classes=CLASSES, classifier_activation="softmax"
    )
    assert built.input is raw
    built.set_weights(model.get_weights())
    np.testing.assert_allclose(built(images / 2), model(images), rtol=1e-5)


def test_without_top(name, model, images):
    expected = keras.Model(model.input, model.get_layer(model_record(name).endpoints[-1]).output)(images)
    for pooling, reduce, shape in [
        (None, lambda x, axis: x, (None, None, SHAPE[-1])),
        ("avg", np.mean, SHAPE),
        ("max", np.max, SHAPE),
    ]:
        body = create_model(name, include_top=False, input_shape=shape, pooling=pooling)
        assert "predictions" not in {layer.name for layer in body.layers}
        assert body.input.shape == (None, *shape)
        body.set_weights(model.get_weights()[:-2])
        np.testing.assert_allclose(body(images), reduce(expected, axis=(1, 2)), rtol=1e-4, atol=1e-6)


def test_names_do_not_depend_on_the_session(name):
    first, second = (create_model(name, aux_heads=True, input_shape=SHAPE) for _ in range(2))
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert [weight.path for weight in first.weights] == [weight.path for weight in second.weights]


def test_layout_is_not_the_sessions(name):
    keras.config.set_image_data_format("channels_first")
    try:
        assert create_model(name, input_shape=SHAPE).get_layer("inception_3a").output.shape == (None, 12, 12, 256)
    finally:
        keras.config.set_image_data_format("channels_last")


def test_export_and_reload(name, model, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(CLASSES))))
    preprocessing = model_record(name).preprocessing
    folder = tmp_path / "saved"
    write_saved_model(serving_model(model), folder, preprocessing=preprocessing, labels_file=tmp_path / "labels.txt")
    loaded = tf.saved_model.load(str(folder))
    assert set(loaded.signatures) == {"serving_default", "serve_images", "serve_bytes", "features"}
    assert (folder / "assets" / "labels.txt").read_text() == (tmp_path / "labels.txt").read_text()
    for batch_size in (1, 5):
        pixels = np.random.default_rng(4).integers(0, 256, (batch_size, *SHAPE), dtype="uint8")
        images = preprocess_input(pixels, name)
        received = loaded.signatures["serving_default"](images=tf.constant(images))
        assert set(received) == {"probabilities"}
        np.testing.assert_allclose(received["probabilities"], model(images), rtol=1e-5, atol=1e-6)
    again = loaded.signatures["serving_default"](images=tf.constant(images))["probabilities"]
    np.testing.assert_array_equal(again, received["probabilities"])  # nothing random is left


def test_unknown_name_says_what_is_near():
    with pytest.raises(ValueError, match=r"did you mean .*googlenet_bn.*Received: 'googlenet_nb'"):
        create_model("googlenet_nb")
