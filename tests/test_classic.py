"""VGG, AlexNet, Network in Network and the two small networks for MNIST."""

import logging
from importlib import resources

import golden
import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import create_model, load_state, model_record, preprocess_input
from googlenet_keras.describe import count_multiply_adds
from googlenet_keras.models.alexnet import AlexNet
from googlenet_keras.models.mnist import MNISTInception, MNISTResidual
from googlenet_keras.models.nin import NiN
from googlenet_keras.models.vgg import CONV_ARCHS, VGG

pytestmark = pytest.mark.slow

# Parameters for 1000 classes at 224x224x3; of batch normalization Keras counts the moving moments too, 2 a filter.
# Sources: torchvision's num_params, keras.applications, and counting by hand.
VGG_PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840 + 2 * 2_752,
    "vgg13_bn": 133_053_736 + 2 * 2_944,
    "vgg16_bn": 138_365_992 + 2 * 4_224,
    "vgg19_bn": 143_678_248 + 2 * 5_504,
}
# fc1 sees 7x7 positions of 512 channels at 224 pixels and one at 32, where these big networks are small.
FC1_BEYOND_ONE_POSITION = (7 * 7 - 1) * 512 * 4096

OTHER_PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet_caffe": 60_965_224,  # light_bvlc_alexnet.onnx
    "nin": 1_992_166,
    "mnist_inception": 97_298,
    "mnist_residual": 41_514,
}
ALL = [*VGG_PARAMETERS, *OTHER_PARAMETERS]


def assert_near(received, expected, tolerance=1e-4):
    np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("name", VGG_PARAMETERS)
def test_parameters_of_vgg(name):
    model = create_model(name, input_shape=(32, 32, 3))
    assert model.name == name
    assert model.count_params() + FC1_BEYOND_ONE_POSITION == VGG_PARAMETERS[name]


def test_vgg_of_the_course():
    """Dive into Deep Learning's, for one channel and ten classes: full, and a quarter as wide."""
    full = create_model("vgg11", input_shape=(32, 32, 1), classes=10)
    assert full.count_params() + FC1_BEYOND_ONE_POSITION == 128_806_154
    quarter = create_model("vgg11", input_shape=(224, 224, 1), classes=10, width=1 / 4)
    assert quarter.count_params() == 43_093_322
    filters = [layer.filters for layer in quarter.layers if isinstance(layer, keras.layers.Conv2D)]
    assert filters == [16, 32, 64, 64, 128, 128, 128, 128]


@pytest.mark.parametrize("name", OTHER_PARAMETERS)
def test_parameters_of_the_others(name):
    model = create_model(name)
    assert model.name == name
    assert model.count_params() == OTHER_PARAMETERS[name]
    assert model.output.shape == (None, model_record(name).arguments.get("classes", 1000))


# torchvision's _ops; the dense layers' own are 25088 * 4096 + 4096 * 4096 + 4096 * 1000.
@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [("vgg11", 7_609_090_048), ("vgg13", 11_308_466_176), ("vgg16", 15_470_264_320), ("vgg19", 19_632_062_464)],
)
def test_multiply_adds_of_vgg(name, multiply_adds):
    body = create_model(name, include_top=False, input_shape=(224, 224, 3))
    assert count_multiply_adds(body) + 123_633_664 == multiply_adds


@pytest.mark.parametrize(
    ("name", "multiply_adds"),
    [
        ("alexnet", 714_188_480),
        # By hand: 55*55*96*363 + 27*27*256*1200 + 13*13*(384*2304 + 384*1728 + 256*1728) and the dense layers; a
        # kernel of two groups sees half the channels.
        ("alexnet_caffe", 724_406_816),
        ("mnist_inception", 6_019_200),
        ("mnist_residual", 2_013_184),
    ],
)
def test_multiply_adds_of_the_others(name, multiply_adds):
    assert count_multiply_adds(create_model(name)) == multiply_adds


@pytest.mark.parametrize(
    ("file", "name"),
    [("torchvision_vgg11", "vgg11"), ("torchvision_vgg13_bn", "vgg13_bn"), ("torchvision_alexnet", "alexnet")],
)
def test_answers_of_torchvision(file, name):
    state, images, expected = golden.load(file)
    model = create_model(name, classifier_activation=None)
    assert model.count_params() == {**VGG_PARAMETERS, **OTHER_PARAMETERS}[name]
    load_state(model, state, "torchvision")
    assert_near(model(images, training=False), expected["logits"])


@pytest.mark.parametrize("name", ["mnist_inception", "mnist_residual"])
def test_answers_of_the_listings(name):
    state, images, expected = golden.load(name)
    model = create_model(name)
    height, width, channels = model.get_layer("flatten").input.shape[1:]
    renamed = {}
    for key, array in state.items():
        layer, leaf = key.rsplit(".", 1)
        layer = "predictions" if layer == "fc" else layer.replace(".", "_")
        if leaf == "bias":
            renamed[f"{layer}/1"] = array
        elif array.ndim == 4:
            renamed[f"{layer}/0"] = array.transpose(2, 3, 1, 0)
        else:
            by_position = array.reshape(-1, channels, height, width).transpose(2, 3, 1, 0)
            renamed[f"{layer}/0"] = by_position.reshape(-1, array.shape[0])
    load_state(model, renamed, "keras")
    assert_near(model(images, training=False), expected["logits"])


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_answers_of_keras_applications(name):
    factory = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[name]
    theirs = factory(weights=None, input_shape=(70, 64, 3), classes=10, classifier_activation=None)
    generator = np.random.default_rng(5)
    for weight in theirs.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 100
        weight.assign(generator.normal(0, np.sqrt(2 / fan_in), weight.shape))
    ours = create_model(name, input_shape=(70, 64, 3), classes=10, classifier_activation=None)
    load_state(ours, {weight.path: np.asarray(weight) for weight in theirs.weights}, "keras_applications")
    images = golden.image((2, 70, 64, 3), 0)
    assert_near(ours(images, training=False), theirs(images, training=False), 1e-5)
    names = [layer.name for layer in ours.layers if not isinstance(layer, keras.layers.Dropout)]
    assert names[1:] == [layer.name for layer in theirs.layers][1:]


CAFFE_ALEXNET = {
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 48, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3),
    "fc6": (4096, 256 * 3 * 3),
    "fc7": (4096, 4096),
    "fc8": (10, 4096),
}


def caffes_alexnet(state, x):
    """models/bvlc_alexnet/deploy.prototxt in TensorFlow's own operations, a group at a time."""

    def convolve(x, name, strides=1, padding=0, groups=1):
        kernels = tf.split(tf.transpose(state[f"{name}.weight"], (2, 3, 1, 0)), groups, axis=-1)
        x = tf.pad(x, [(0, 0), (padding, padding), (padding, padding), (0, 0)])
        parts = zip(tf.split(x, groups, axis=-1), kernels, strict=True)
        parts = [tf.nn.conv2d(part, kernel, strides, "VALID") for part, kernel in parts]
        return tf.nn.relu(tf.concat(parts, axis=-1) + state[f"{name}.bias"])

    def pool(x):
        # Ceil mode: one row more where the last window would be short of one.
        overhang = [(0, (extent - 3) % 2) for extent in x.shape[1:3]]
        return tf.nn.max_pool2d(tf.pad(x, [(0, 0), *overhang, (0, 0)]), 3, 2, "VALID")

    def normalize(x):
        return tf.nn.local_response_normalization(x, depth_radius=2, bias=1.0, alpha=1e-4 / 5, beta=0.75)

    def dense(x, name):
        return tf.linalg.matvec(state[f"{name}.weight"], x) + state[f"{name}.bias"]

    x = pool(normalize(convolve(x, "conv1", strides=4)))
    x = pool(normalize(convolve(x, "conv2", padding=2, groups=2)))
    x = convolve(convolve(x, "conv3", padding=1), "conv4", padding=1, groups=2)
    x = pool(convolve(x, "conv5", padding=1, groups=2))
    x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (x.shape[0], -1))
    return dense(tf.nn.relu(dense(tf.nn.relu(dense(x, "fc6")), "fc7")), "fc8")


def test_answers_of_caffes_alexnet():
    state = {}
    for name, shape in CAFFE_ALEXNET.items():
        state[f"{name}.weight"] = golden.tensor(f"{name}.weight", shape, 0)
        state[f"{name}.bias"] = golden.tensor(f"{name}.bias", shape[:1], 0)
    # Maps of even and of odd size before every pooling.
    model = create_model("alexnet_caffe", input_shape=(103, 123, 3), classes=10, classifier_activation=None)
    load_state(model, state, "caffe")
    images = 100 * golden.image((2, 103, 123, 3), 0)
    assert_near(model(images, training=False), caffes_alexnet(state, images))


def test_weights_of_the_top_are_passed_over(caplog):
    """A body takes a whole network's file."""
    model = create_model("vgg11", input_shape=(32, 32, 3), width=1 / 16, classes=3)
    state = {
        f"{layer.name}/{weight.name}": np.asarray(weight) + 1 for layer in model.layers for weight in layer.weights
    }
    body = create_model("vgg11", include_top=False, width=1 / 16)
    with caplog.at_level(logging.WARNING):
        load_state(body, state, "keras_applications")
    assert "a head of 3 classes: left out 6 tensors" in caplog.text
    np.testing.assert_array_equal(body.get_layer("block5_conv2").bias, np.ones(32))


@pytest.mark.parametrize("name", ALL)
def test_smallest_input(name):
    """It is what the registry says: that size answers, and one pixel less would leave a pooling without a pixel."""
    record = model_record(name)
    smallest, channels = record.minimum_size, record.input_shape[-1]
    width = {"width": 1 / 16} if name.startswith("vgg") else {}
    model = create_model(name, input_shape=(smallest, smallest, channels), classes=3, **width)
    assert np.isfinite(model(np.ones((1, smallest, smallest, channels)))).all()
    with pytest.raises(ValueError, match=f"at least {smallest}x{smallest} pixels"):
        create_model(name, input_shape=(smallest, smallest - 1, channels), **width)

    body = create_model(name, include_top=False, input_shape=(None, None, channels), **width)
    assert body(keras.Input((smallest, smallest, channels))).shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match="output size would be"):
        body(keras.Input((smallest - 1, smallest - 1, channels)))


# Height and width of the map, and channels, after each stage at the network's own size.
STAGES = {
    "vgg16": {"block1_pool": (112, 64), "block2_pool": (56, 128), "block3_pool": (28, 256)}
    | {"block4_pool": (14, 512), "block5_pool": (7, 512)},
    "vgg19_bn": {"block1_pool": (112, 64), "block2_pool": (56, 128), "block3_pool": (28, 256)}
    | {"block4_pool": (14, 512), "block5_pool": (7, 512)},
    "alexnet": {"pool1": (27, 64), "pool2": (13, 192), "pool5": (6, 256)},
    "alexnet_caffe": {"pool1": (27, 96), "pool2": (13, 256), "pool5": (6, 256)},
    "nin": {"block1_pool": (26, 96), "block2_pool": (12, 256), "block3_pool": (5, 384)},
    "mnist_inception": {"incep1": (12, 88), "incep2": (4, 88)},
    "mnist_residual": {"rblock1": (12, 16), "rblock2": (4, 32)},
}
OWN_SIZES = {"alexnet_caffe": 227, "mnist_inception": 28, "mnist_residual": 28}


@pytest.mark.parametrize("name", STAGES)
def test_every_endpoints_name_and_shape(name):
    size = OWN_SIZES.get(name, 224)
    body = create_model(name, include_top=False, input_shape=(size, size, 3))
    assert model_record(name).endpoints == tuple(STAGES[name])
    assert {endpoint: body.get_layer(endpoint).output.shape for endpoint in STAGES[name]} == {
        endpoint: (None, extent, extent, depth) for endpoint, (extent, depth) in STAGES[name].items()
    }
    assert body.output is body.get_layer(model_record(name).endpoints[-1]).output


@pytest.mark.parametrize(
    ("factory", "arguments", "message"),
    [
        (VGG, {"conv_arch": ()}, r"`conv_arch` must be .* Received: \(\)"),
        (VGG, {"conv_arch": ((1, 64), (0, 128))}, "`conv_arch` must be"),
        (VGG, {"conv_arch": ((1, 64, 128),)}, "`conv_arch` must be"),
        (VGG, {"width": 0}, "`width` must leave every convolution at least one filter. Received: 0"),
        (VGG, {"input_shape": (None, None, 3)}, r"fixed size.*Received: \(None, None, 3\)"),
        (AlexNet, {"input_shape": (None, 224, 3)}, r"fixed size.*Received: \(None, 224, 3\)"),
        (AlexNet, {"variant": "paper"}, "`variant` must be one of torchvision, caffe. Received: 'paper'"),
        (MNISTInception, {"input_shape": (28, None, 1)}, "fixed size"),
        (MNISTResidual, {"input_shape": (28, 28)}, r"\(height, width, channels\)"),
        (MNISTResidual, {"pooling": "mean"}, "`pooling` must be None"),
        (NiN, {"dropout": 1.0}, "`dropout` must be at least 0"),
        (NiN, {"classes": 0}, "`classes` must be a positive integer"),
        (NiN, {"classifier_activation": "softmacks"}, "softmacks"),
    ],
)
def test_wrong_arguments_are_named(factory, arguments, message):
    with pytest.raises(ValueError, match=message):
        factory(**arguments)


def test_vgg_of_any_blocks():
    """The course's exercise: another conv_arch is another network, of the same rules."""
    model = VGG(input_shape=(8, 8, 1), classes=3, conv_arch=[(1, 4), (2, 8), (1, 8)], batch_normalization=True)
    assert model.name == "vgg7_bn"
    assert [layer.name for layer in model.layers][-8:] == [
        *("block3_conv1_relu", "block3_pool", "flatten"),
        *("fc1", "fc1_dropout", "fc2", "fc2_dropout", "predictions"),
    ]
    assert model.get_layer("flatten").output.shape == (None, 8)
    with pytest.raises(ValueError, match="at least 8x8 pixels"):
        VGG(input_shape=(8, 7, 1), conv_arch=((1, 4), (2, 8), (1, 8)))


@pytest.mark.parametrize("name", ["vgg11", "vgg13_bn", "alexnet", "alexnet_caffe", "nin"])
def test_dropout_and_regularizer(name):
    arguments = {"classes": 3, "input_shape": (80, 80, 1)} | ({"width": 1 / 16} if name.startswith("vgg") else {})
    model = create_model(name, dropout=0.25, kernel_regularizer=keras.regularizers.L2(1e-4), **arguments)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.25] * (1 if name == "nin" else 2)
    assert len(model.losses) == sum(hasattr(layer, "kernel") for layer in model.layers)
    without = create_model(name, dropout=0, **arguments)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in without.layers)


def test_alexnets_dropout_is_where_each_has_it():
    """What fc6 and fc7 see is dropped by torchvision, what they answer by Caffe."""
    for name, places in [("alexnet", ["flatten", "fc6"]), ("alexnet_caffe", ["fc6", "fc7"])]:
        model = create_model(name, input_shape=(80, 80, 3), classes=3)
        dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
        assert [layer.name for layer in dropouts] == [f"{place}_dropout" for place in places]
        assert all(layer.input is model.get_layer(layer.name.removesuffix("_dropout")).output for layer in dropouts)


def test_alexnet_takes_any_size():
    """The same weights fit: torchvision averages the last map to 6x6, which changes nothing at 224 pixels."""
    model = create_model("alexnet", input_shape=(63, 224, 3), classes=3)
    assert model.get_layer("pool5").output.shape == (None, 1, 6, 256)
    assert model.get_layer("fc6").kernel.shape == (6 * 6 * 256, 4096)
    features = keras.Model(model.input, [model.get_layer(name).output for name in ("pool5", "adaptive_pool")])
    before, after = features(golden.image((1, 63, 224, 3), 0))
    np.testing.assert_allclose(after, np.repeat(before, 6, axis=1), rtol=1e-5, atol=1e-7)
    own_size = create_model("alexnet", classes=3)
    assert "adaptive_pool" not in {layer.name for layer in own_size.layers}
    assert [weight.shape for weight in own_size.weights] == [weight.shape for weight in model.weights]


def test_caffes_alexnet_starts_as_caffe_fills():
    model = create_model("alexnet_caffe", input_shape=(39, 39, 3), classes=50)
    biases = {layer.name: float(layer.bias[0]) for layer in model.layers if hasattr(layer, "kernel")}
    expected = {"conv1": 0, "conv2": 0.1, "conv3": 0, "conv4": 0.1, "conv5": 0.1, "fc6": 0.1, "fc7": 0.1}
    assert biases == pytest.approx({**expected, "predictions": 0})
    for name, deviation in [("conv3", 0.01), ("fc7", 0.005), ("predictions", 0.01)]:
        assert np.std(model.get_layer(name).kernel) == pytest.approx(deviation, rel=0.02)


def test_nin_answers_the_average_of_its_last_map():
    logits = create_model("nin", input_shape=(None, None, 1))  # any size, even with the top
    images = golden.image((2, 80, 70, 1), 0)
    scores = keras.Model(logits.input, logits.get_layer("block4_conv3").output)(images)
    np.testing.assert_allclose(logits(images), np.mean(scores, axis=(1, 2)), rtol=1e-5)
    assert np.min(scores) == 0  # Dive into Deep Learning has a ReLU there too
    softmax = create_model("nin", input_shape=(None, None, 1), classifier_activation="softmax")
    softmax.set_weights(logits.get_weights())
    np.testing.assert_allclose(softmax(images), keras.ops.softmax(logits(images)), rtol=1e-5)


@pytest.mark.parametrize("name", ["vgg13_bn", "alexnet_caffe", "nin", "mnist_inception", "mnist_residual"])
def test_gradients_and_half_precision(name):
    shape = (80, 80, 1)
    arguments = {"input_shape": shape, "classes": 5, "classifier_activation": "softmax"}
    arguments |= {"width": 1 / 8} if name.startswith("vgg") else {}
    images = golden.image((2, *shape), 0)
    model = create_model(name, **arguments)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(images, training=True) ** 2)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert gradient is not None, variable.path
    mixed = create_model(name, dtype="mixed_bfloat16", **arguments)
    assert mixed.get_layer(model_record(name).endpoints[-1]).output.dtype == "bfloat16"
    answer = mixed(images)
    assert answer.dtype == "float32"
    np.testing.assert_allclose(np.sum(answer, axis=-1), 1, rtol=1e-5)
    mixed.set_weights(model.get_weights())
    np.testing.assert_allclose(mixed(images), model(images), atol=0.05)
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(images), model(images))


def test_no_activation_inside_the_small_inception_module():
    model = MNISTInception()
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert all(layer.activation is keras.activations.linear for layer in kernels)
    assert {layer.name for layer in kernels if layer.name.startswith("incep2")} == {
        f"incep2_{layer}"
        for layer in (
            "branch1x1",
            *("branch5x5_1", "branch5x5_2"),
            *("branch3x3_1", "branch3x3_2", "branch3x3_3"),
            "branch_pool",
        )
    }


PIXELS = np.array([[[[0, 127.5, 255], [10, 20, 30]]]], "float32")  # RGB


def test_torchvisions_preprocessing():
    expected = (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    for name in ("vgg11", "vgg16_bn", "alexnet"):
        np.testing.assert_allclose(preprocess_input(PIXELS, name), expected, atol=1e-5)
        tensor = preprocess_input(keras.ops.convert_to_tensor(PIXELS), name)
        np.testing.assert_allclose(tensor, expected, atol=1e-5)
    grey = np.full((1, 1, 1, 1), 100.0)
    average = np.mean(preprocess_input(np.full((1, 1, 1, 3), 100.0), "alexnet"))
    np.testing.assert_allclose(preprocess_input(grey, "alexnet"), np.full(grey.shape, average), rtol=1e-5)


def test_preprocessing_of_keras_applications():
    for name, theirs in [("vgg16", keras.applications.vgg16), ("vgg19", keras.applications.vgg19)]:
        expected = theirs.preprocess_input(PIXELS.copy())
        np.testing.assert_allclose(preprocess_input(PIXELS, name), expected, atol=1e-4)


def test_caffes_preprocessing():
    np.testing.assert_allclose(preprocess_input(PIXELS, "alexnet_caffe"), PIXELS[..., ::-1] - [104, 117, 123])


def test_labels():
    assert {name: model_record(name).labels for name in ALL if model_record(name).labels != "imagenet"} == {
        "nin": "fashion_mnist",
        "mnist_inception": "mnist",
        "mnist_residual": "mnist",
    }
    digits = resources.files("googlenet_keras").joinpath("assets", "mnist_labels.txt").read_text()
    assert digits.split() == [str(digit) for digit in range(10)]


def test_the_table_is_the_papers():
    depths = {name: sum(convolutions for convolutions, _ in rows) + 3 for name, rows in CONV_ARCHS.items()}
    assert depths == {"vgg11": 11, "vgg13": 13, "vgg16": 16, "vgg19": 19}
