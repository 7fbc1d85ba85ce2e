"""The layers of our own compute what Caffe and TensorFlow compute."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import CeilAveragePooling2D, LocalResponseNormalization
from googlenet_keras.layers import BatchNormalization


def reference(x, size=5, alpha=1e-4, beta=0.75, k=1.0):
    """Caffe's formula, channel by channel, in float64."""
    x = x.astype("float64")
    y = np.empty_like(x)
    for c in range(x.shape[-1]):
        window = x[..., max(0, c - size // 2) : c + size // 2 + 1]
        y[..., c] = x[..., c] / (k + alpha / size * np.sum(window**2, axis=-1)) ** beta
    return y


@pytest.fixture(params=[16, 48, 7, 3, 1], ids="{} channels".format)
def x(request):
    return np.random.default_rng(0).normal(0, 100, (2, 5, 4, request.param)).astype("float32")


@pytest.mark.parametrize(
    "arguments",
    [{}, {"size": 3, "alpha": 0.1}, {"size": 1}, {"size": 9, "beta": 0.5, "k": 2.0}, {"beta": 0.3}],
    ids=str,
)
def test_caffes_normalization(x, arguments):
    # float32 carries 7 digits; the sum and the power lose one.
    np.testing.assert_allclose(LocalResponseNormalization(**arguments)(x), reference(x, **arguments), rtol=2e-6)


def test_tensorflows_alpha_is_not_divided(x):
    expected = tf.nn.local_response_normalization(x, depth_radius=2, bias=1.0, alpha=2e-5, beta=0.75)
    for layer in (
        LocalResponseNormalization(alpha=1e-4, alpha_convention="caffe"),
        LocalResponseNormalization(alpha=2e-5, alpha_convention="tensorflow"),
    ):
        np.testing.assert_allclose(layer(x), expected, rtol=2e-6)
    assert np.abs(LocalResponseNormalization(alpha=1e-4, alpha_convention="tensorflow")(x) - expected).max() > 1


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "tf.function"])
def test_gradient_is_tensorflows(x, graph):
    layer = LocalResponseNormalization()
    weight = np.random.default_rng(1).normal(size=x.shape).astype("float32")

    def gradient(function):
        with tf.GradientTape() as tape:
            inputs = tf.constant(x)
            tape.watch(inputs)
            loss = tf.reduce_sum(function(inputs) * weight)
        return tape.gradient(loss, inputs)

    def theirs(inputs):
        return tf.nn.local_response_normalization(inputs, 2, 1.0, 2e-5, 0.75)

    run = tf.function(gradient) if graph else gradient
    # Two terms of like size are subtracted: an absolute part, of the largest gradient.
    expected = run(theirs)
    np.testing.assert_allclose(run(layer), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_sum_is_exact_whatever_the_policy():
    """300 squared, five times, overflows float16; 1 + 1/512 is 1 in bfloat16."""
    x = np.full((1, 1, 1, 8), 300.0, "float32")
    half = LocalResponseNormalization(dtype="mixed_float16")(x)
    assert half.dtype == "float16"
    np.testing.assert_allclose(half, reference(x), rtol=1e-3)
    x = np.full((1, 1, 1, 8), 1.0, "float32")
    brain = LocalResponseNormalization(alpha=1.0, beta=2.0, dtype="mixed_bfloat16")(x)
    np.testing.assert_allclose(np.asarray(brain, "float32"), reference(x, alpha=1.0, beta=2.0), rtol=4e-3)


def test_layer_is_made_again_from_its_config():
    layer = LocalResponseNormalization(size=3, alpha=2e-4, beta=0.6, k=2.0, alpha_convention="tensorflow", name="norm")
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == layer.get_config()
    assert len(str(config)) < 500  # no tables in it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 4}, "odd"), ({"size": -1}, "odd"), ({"alpha_convention": "torch"}, '"caffe" or "tensorflow"')],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LocalResponseNormalization(**arguments)


@pytest.mark.parametrize("extent", [5, 6, 7, 8, 14, 3, 4])
def test_ceil_pooling_clips_its_last_window(extent):
    x = np.random.default_rng(0).normal(size=(2, extent, extent + 1, 3)).astype("float32")

    def windows(n):
        positions = int(np.ceil((n - 5) / 3)) + 1
        return [slice(3 * i, min(3 * i + 5, n)) for i in range(positions)]

    expected = np.stack(
        [np.stack([x[:, r, c].mean((1, 2)) for c in windows(extent + 1)], 1) for r in windows(extent)], 1
    )
    layer = CeilAveragePooling2D(5, strides=3)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    assert layer.compute_output_shape(x.shape) == expected.shape


def steps(kind, images, weight, *, layer_dtype=None, **arguments):
    """Outputs, gradients and moving moments of some training steps and an inference, as float32 arrays by name."""
    layer = kind(momentum=0.9, epsilon=1e-3, dtype=layer_dtype, **arguments)
    layer.build(images[0].shape)
    for index, variable in enumerate(layer.trainable_variables):
        variable.assign(np.linspace(0.5 + index, 2, variable.shape[0]))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
            loss = tf.reduce_sum(tf.cast(y, "float32") * weight)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    results = {}
    for number, batch in enumerate(images):
        y, gradients = step(tf.cast(batch, layer.compute_dtype))
        results[f"output {number}"] = y
        results |= {f"gradient {number}.{index}": gradient for index, gradient in enumerate(gradients)}
    results |= {variable.name: variable.value for variable in layer.non_trainable_variables}
    layer.trainable = False  # Keras then takes the moving moments, in training too
    results["frozen"] = layer(images[0], training=True)
    layer.trainable = True
    results["inference"] = layer(images[0], training=False)
    return {name: np.asarray(tf.cast(value, "float32")) for name, value in results.items()}


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    # What the sums over 60 values lose in float32; a rounding to 8 bits, or 11, of what goes in and out.
    [("float32", 1e-5), ("mixed_bfloat16", 1e-2), ("mixed_float16", 2e-3)],
)
@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}], ids=str)
def test_batch_normalization_is_keras(dtype, tolerance, arguments):
    """In training, 3 steps on: outputs, gradients, and both moving moments, whose variance is the biased one."""
    generator = np.random.default_rng(0)
    images = generator.normal(3, 2, (3, 3, 5, 4, 8)).astype("float32")
    weight = generator.normal(size=images[0].shape).astype("float32")
    expected = steps(keras.layers.BatchNormalization, images, weight, layer_dtype=dtype, **arguments)
    ours = steps(BatchNormalization, images, weight, layer_dtype=dtype, **arguments)
    assert ours.keys() == expected.keys()
    for name, value in expected.items():
        exact = tolerance if name.startswith(("output", "gradient", "frozen", "inference")) else 1e-5
        np.testing.assert_allclose(ours[name], value, rtol=exact, atol=exact * np.abs(value).max(), err_msg=name)


def test_batch_normalization_is_fused_where_it_can_be():
    """The reason that there is such a layer; a change of Keras's attributes would lose it silently."""

    def fused(layer, shape):
        call = tf.function(lambda x: layer(x, training=True)).get_concrete_function(tf.TensorSpec(shape))
        return any(operation.type == "FusedBatchNormV3" for operation in call.graph.get_operations())

    assert fused(BatchNormalization(), (None, None, None, 4))
    for other, shape in [
        (BatchNormalization(), (2, 4)),
        (BatchNormalization(axis=1), (2, 4, 4, 4)),
        (BatchNormalization(renorm=True), (2, 4, 4, 4)),
        (BatchNormalization(dtype="float64"), (2, 4, 4, 4)),
        (BatchNormalization(synchronized=True), (2, 4, 4, 4)),
    ]:
        assert not fused(other, shape)


# Logical devices must be there before TensorFlow is used: a process of its own.
SYNCHRONIZED = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
import keras
import numpy as np
from googlenet_keras.layers import BatchNormalization

x = np.random.default_rng(0).normal(3, 2, (4, 5, 5, 8)).astype("float32")
x[2:] *= 3
whole = keras.layers.BatchNormalization(momentum=0.5)
whole(x, training=True)

def variance(strategy, synchronized):
    with strategy.scope():
        layer = BatchNormalization(momentum=0.5)
        layer.build(x.shape)
    layer.synchronized = synchronized
    pieces = np.split(x, strategy.num_replicas_in_sync)
    shares = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(pieces[context.replica_id_in_sync_group])
    )
    tf.function(lambda: strategy.run(layer, (shares,), {"training": True}))()
    return np.asarray(layer.moving_variance)

mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
# E(x^2) - E(x)^2 is how Keras takes the variance over replicas.
np.testing.assert_allclose(variance(mirrored, True), whole.moving_variance, rtol=3e-6)
assert np.abs(variance(mirrored, False) - whole.moving_variance).min() > 0.1
np.testing.assert_allclose(variance(tf.distribute.get_strategy(), True), whole.moving_variance, rtol=3e-6)
"""


@pytest.mark.slow
def test_batch_normalization_may_be_synchronized_once_built(fork):
    """One batch on two replicas, by halves, leaves the moments of the whole; unsynchronized it does not."""
    process = fork("-c", SYNCHRONIZED)
    assert process.returncode == 0, process.stderr


def test_batch_normalization_is_saved_and_loaded(tmp_path):
    x = np.random.default_rng(0).normal(3, 2, (4, 5, 5, 8)).astype("float32")
    model = keras.Sequential([keras.Input((5, 5, 8)), BatchNormalization(momentum=0.5, scale=False, name="norm")])
    model(x, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.get_layer("norm")) is BatchNormalization
    assert again.get_layer("norm").get_config() == model.get_layer("norm").get_config()
    np.testing.assert_array_equal(again(x), model(x))
    # Weights go to Keras's own layer and back.
    theirs = keras.layers.BatchNormalization.from_config(model.get_layer("norm").get_config())
    theirs.build(x.shape)
    assert [weight.name for weight in theirs.weights] == [weight.name for weight in model.weights]
    theirs.set_weights(model.get_weights())
    np.testing.assert_allclose(theirs(x), model(x), rtol=1e-5, atol=1e-6)
