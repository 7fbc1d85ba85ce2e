"""GoogLeNet as the paper prints it, and as its variants differ."""

import keras
import numpy as np
import pytest

from googlenet_keras import (
    GoogLeNet,
    Style,
    auxiliary_head,
    conv_block,
    create_model,
    feature_extractor,
    inception_module,
    inference_model,
    model_record,
)
from googlenet_keras.describe import count_multiply_adds

SLOW = pytest.mark.slow

# Parameters for 1000 classes: the network, aux1, aux2. Of batch normalization Keras counts the moving moments too.
# Sources: light_inception_v1.onnx (6,998,552), torchvision's GoogLeNet_Weights num_params (6,624,904 without the 14,560
# moments), TF-slim's inception_v1_test.py (5,607,184 without the classifier), and counting by hand.
AUX = (3_188_840, 3_190_888)
AUX_BATCH_NORMALIZATION = (AUX[0] - 128 + 4 * 128, AUX[1] - 128 + 4 * 128)
AUX_WITHOUT_SCALE = (AUX[0] - 128 + 3 * 128, AUX[1] - 128 + 3 * 128)
PARAMETERS = {
    "googlenet": (6_998_552, *AUX),
    "googlenet_bvlc": (6_998_552, *AUX),
    "googlenet_bn": (7_020_392, *AUX_BATCH_NORMALIZATION),
    # shortcuts of 3a, 3b, 4a, 4d, 4e and 5b: 1,979,392 weights and four numbers of normalization for 3,632 channels
    "googlenet_residual": (7_020_392 + 1_979_392 + 4 * 3_632, *AUX_BATCH_NORMALIZATION),
    "googlenet_torchvision": (6_639_464, *AUX_BATCH_NORMALIZATION),
    "googlenet_slim": (6_632_184, *AUX_WITHOUT_SCALE),
    "googlenet_d2l": (6_998_552, *AUX),
}
# Of the course's one channel and ten classes.
D2L_PARAMETERS = 5_977_530


# What all networks do alike is asked of two in the quick suite, one of each padding.
EVERY_PADDING = [
    name if name in ("googlenet", "googlenet_torchvision") else pytest.param(name, marks=SLOW) for name in PARAMETERS
]


@pytest.fixture(scope="module")
def whole(network):
    """A network of 1000 classes with its auxiliary heads at 224x224, which tests may share."""
    return lambda name: network(name, input_shape=(224, 224, 3), classes=1000, aux_heads=True)


@pytest.mark.parametrize(
    ("name", "classes"),
    [*((name, 1000) for name in PARAMETERS), *(pytest.param(name, 10, marks=SLOW) for name in PARAMETERS)],
)
def test_parameter_counts(whole, name, classes):
    # Each classifier sees 1024 features and has a bias.
    alone, *heads = (parameters - (1000 - classes) * 1025 for parameters in PARAMETERS[name])
    arguments = {"input_shape": (224, 224, 3), "classes": classes, "aux_heads": True}
    model = whole(name) if classes == 1000 else create_model(name, **arguments)
    assert model.count_params() == alone + sum(heads)
    assert inference_model(model).count_params() == alone
    assert {head: count_of(model, head) for head in ("aux1", "aux2")} == dict(zip(("aux1", "aux2"), heads, strict=True))


def count_of(model, part):
    return sum(layer.count_params() for layer in model.layers if layer.name.startswith(part))


def test_d2l_is_the_courses(network):
    model = network("googlenet_d2l")
    assert model.input.shape == (None, 96, 96, 1)
    assert model.count_params() == D2L_PARAMETERS
    assert count_multiply_adds(model) == 276_066_304
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in model.layers)
    assert model.get_layer("predictions").activation is keras.activations.linear


@pytest.mark.parametrize(
    ("name", "multiply_adds"), [("googlenet", 1_582_671_872), ("googlenet_torchvision", 1_498_376_192)]
)
def test_multiply_adds(whole, name, multiply_adds):
    assert count_multiply_adds(inference_model(whole(name))) == multiply_adds


# Height and width of the maps after conv1, pool1, pool2, pool3 and pool4.
MAPS = {
    ("same", 224): (112, 56, 28, 14, 7),
    ("same", 96): (48, 24, 12, 6, 3),
    ("same", 111): (56, 28, 14, 7, 4),
    ("explicit", 224): (112, 56, 28, 14, 7),
    ("explicit", 96): (48, 24, 12, 6, 3),
    ("explicit", 111): (56, 28, 14, 7, 3),  # Caffe leaves the odd row out
    ("torchvision", 224): (112, 56, 28, 14, 7),
    ("torchvision", 96): (48, 24, 12, 6, 3),
    ("torchvision", 111): (56, 28, 14, 7, 4),  # but not under a 2x2 window
}
DEPTHS = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, 224) for name in PARAMETERS),
        *(pytest.param(name, 96, marks=SLOW) for name in PARAMETERS),
        *(
            pytest.param(*getattr(name, "values", [name]), 111, marks=getattr(name, "marks", ()))
            for name in EVERY_PADDING
        ),
    ],
)
def test_every_endpoints_name_and_shape(whole, name, size):
    padding = {"googlenet_bvlc": "explicit", "googlenet_torchvision": "torchvision"}.get(name, "same")
    conv1, pool1, pool2, pool3, pool4 = MAPS[padding, size]
    end = "" if name in ("googlenet", "googlenet_bvlc", "googlenet_d2l") else "_relu"
    expected = {
        f"conv1_7x7{end}": (conv1, 64),
        "pool1": (pool1, 64),
        f"conv2_3x3{end}": (pool1, 192),
        "pool2": (pool2, 192),
    }
    expected |= {f"inception_{module}": (pool2, DEPTHS[module]) for module in ("3a", "3b")}
    expected |= {"pool3": (pool3, 480)}
    expected |= {f"inception_{module}": (pool3, DEPTHS[module]) for module in ("4a", "4b", "4c", "4d", "4e")}
    expected |= {"pool4": (pool4, 832)}
    expected |= {f"inception_{module}": (pool4, DEPTHS[module]) for module in ("5a", "5b")}
    model = whole(name) if size == 224 else create_model(name, input_shape=(size, size, 3))
    assert model_record(name).endpoints == tuple(expected)
    outputs = feature_extractor(model, list(expected)).output
    assert {key: tensor.shape for key, tensor in outputs.items()} == {
        key: (None, extent, extent, depth) for key, (extent, depth) in expected.items()
    }


def test_shortcuts_of_the_residual_network(whole):
    """An identity where a module keeps the depth, a linear 1x1 convolution elsewhere, added before the ReLU."""
    model = whole("googlenet_residual")
    projected = {layer.name for layer in model.layers if layer.name.endswith("_shortcut")}
    assert projected == {f"inception_{module}_shortcut" for module in ("3a", "3b", "4a", "4d", "4e", "5b")}
    images = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3))
    maps = feature_extractor(model, ["inception_4a", "inception_4b_mixed", "inception_4b"])(images)
    expected = np.maximum(np.asarray(maps["inception_4a"]) + np.asarray(maps["inception_4b_mixed"]), 0)
    np.testing.assert_allclose(maps["inception_4b"], expected, rtol=1e-6)


def test_layer_names_are_the_literatures(whole):
    names = {layer.name for layer in whole("googlenet").layers}
    branches = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool", "pool_proj")
    assert names == {
        *("input", "conv1_7x7", "pool1", "pool1_norm1", "conv2_3x3_reduce", "conv2_3x3", "conv2_norm2", "pool2"),
        *("pool3", "pool4", "pool5", "dropout", "predictions"),
        *(f"inception_{module}" for module in DEPTHS),
        *(f"inception_{module}_{branch}" for module in DEPTHS for branch in branches),
        *(
            f"{head}{layer}"
            for head in ("aux1", "aux2")
            for layer in ("_pool", "_conv", "_flatten", "_fc", "_dropout", "")
        ),
    }


@pytest.mark.parametrize("name", EVERY_PADDING)
def test_smallest_input(name):
    """It is what the registry says: that size answers, one pixel less is refused in words."""
    smallest = model_record(name).minimum_size
    model = create_model(name, input_shape=(smallest, smallest, 3), classes=3)
    assert np.isfinite(model(np.ones((1, smallest, smallest, 3)))).all()
    if smallest > 1:
        with pytest.raises(ValueError, match=f"at least {smallest}x{smallest} pixels"):
            create_model(name, input_shape=(smallest, smallest - 1, 3))


@pytest.mark.parametrize("name", EVERY_PADDING)
def test_aux_heads_need_65_pixels(name):
    with pytest.raises(ValueError, match=r"at least 65x65 pixels.*Received: \(65, 64\)"):
        create_model(name, input_shape=(65, 64, 3), aux_heads=True)
    model = create_model(name, input_shape=(65, 65, 3), classes=3, aux_heads=True)
    assert {key: array.shape for key, array in model(np.ones((2, 65, 65, 3))).items()} == {
        "predictions": (2, 3),
        "aux1": (2, 3),
        "aux2": (2, 3),
    }


def test_aux_heads_of_unknown_size_are_refused():
    with pytest.raises(ValueError, match="fixed size"):
        GoogLeNet(input_shape=(None, None, 3), aux_heads=True)


@pytest.mark.parametrize(
    ("size", "extent"),
    [
        (112, 1),
        (209, 4),
        *(pytest.param(*row, marks=SLOW) for row in [(65, 1), (128, 2), (192, 3), (256, 4), (257, 5)]),
    ],
)
def test_map_under_the_heads(size, extent):
    model = GoogLeNet(input_shape=(size, size, 3), aux_heads=True)
    assert model.get_layer("aux1_pool").output.shape == (None, extent, extent, 512)


def test_fit_trains_every_head_by_name():
    model = GoogLeNet(input_shape=(65, 65, 3), classes=4, aux_heads=True)
    model.compile(
        optimizer=keras.optimizers.SGD(1e-3),
        loss=dict.fromkeys(("predictions", "aux1", "aux2"), "sparse_categorical_crossentropy"),
        loss_weights={"predictions": 1, "aux1": 0.3, "aux2": 0.3},
        metrics={head: ["accuracy"] for head in ("predictions", "aux1", "aux2")},
        run_eagerly=True,  # one step: a graph would take longer to make
    )
    images = np.random.default_rng(0).uniform(-1, 1, (4, 65, 65, 3))
    labels = np.arange(4)
    history = model.fit(images, dict.fromkeys(("predictions", "aux1", "aux2"), labels), verbose=0).history
    logged = {key: value[0] for key, value in history.items()}
    assert {"predictions_loss", "aux1_loss", "aux2_loss", "aux1_accuracy", "predictions_accuracy"} <= set(logged)
    weighed = logged["predictions_loss"] + 0.3 * logged["aux1_loss"] + 0.3 * logged["aux2_loss"]
    assert logged["loss"] == pytest.approx(weighed, rel=1e-5)


def test_inference_model_shares_the_weights(network):
    model = GoogLeNet(input_shape=(65, 65, 3), classes=4, aux_heads=True)
    inference = inference_model(model)
    assert inference.count_params() == PARAMETERS["googlenet"][0] - 996 * 1025
    model.get_layer("conv1_7x7").kernel.assign(np.zeros((7, 7, 3, 64)))
    images = np.ones((1, 65, 65, 3))
    np.testing.assert_array_equal(inference(images), model(images)["predictions"])
    with pytest.raises(ValueError, match="include_top=True"):
        inference_model(network("googlenet", include_top=False))


def test_feature_extractor_names_what_is_near(network):
    model = network("googlenet", include_top=False)
    with pytest.raises(ValueError, match=r"did you mean inception_3a"):
        feature_extractor(model, ["inception3a"])
    with pytest.raises(ValueError, match="list of one or more"):
        feature_extractor(model, "inception_3a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "caffe"}, "`variant` must be one of paper, bvlc"),
        ({"normalization": "batchnorm"}, '`normalization` must be "lrn"'),
        ({"pooling": "mean"}, "`pooling` must be None"),
        ({"classes": 0}, "`classes` must be a positive integer"),
        ({"classes": 2.5}, "`classes` must be a positive integer"),
        ({"dropout": 1.0}, "`dropout` must be at least 0"),
        ({"include_top": False, "aux_heads": True}, "include_top=True"),
        ({"input_shape": (224, 224)}, r"\(height, width, channels\). Received: \(224, 224\)"),
        ({"input_shape": (224, 224, None)}, r"\(height, width, channels\)"),
        ({"input_shape": (0, 224, 3)}, r"\(height, width, channels\)"),
        ({"weights": "imagenet"}, "belong to another network: build googlenet_slim"),
        ({"classifier_activation": "softmacks"}, "softmacks"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GoogLeNet(**arguments)


@pytest.mark.parametrize("normalization", [*(pytest.param(kind, marks=SLOW) for kind in ("lrn", "batch")), "none"])
def test_normalization_is_the_callers_choice(normalization):
    kinds = {type(layer).__name__ for layer in GoogLeNet(normalization=normalization).layers}
    assert ("LocalResponseNormalization" in kinds) == (normalization == "lrn")
    assert ("BatchNormalization" in kinds) == (normalization == "batch")


def test_dropout_and_regularizer():
    model = GoogLeNet(dropout=0.25, kernel_regularizer=keras.regularizers.L2(1e-4), aux_heads=True)
    assert model.get_layer("dropout").rate == 0.25
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel")]
    assert len(kernels) == 58 + 6
    assert len(model.losses) == len(kernels)
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in GoogLeNet(dropout=0).layers)


def test_bvlc_starts_as_caffe_fills(whole):
    model = whole("googlenet_bvlc")
    layer = model.get_layer("inception_4c_3x3")
    assert np.allclose(layer.bias, 0.2)
    assert not np.any(model.get_layer("predictions").bias)
    limit = np.sqrt(3 / (3 * 3 * 128))  # Caffe's xavier: uniform, by the fan-in alone
    kernel = np.asarray(layer.kernel)
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert not np.array_equal(
        kernel[0, 0, :64, :64], np.asarray(model.get_layer("inception_4d_3x3").kernel)[0, 0, :64, :64]
    )


def test_blocks_make_other_networks():
    """They are public: a user's own network of modules, with a head of its own."""
    inputs = keras.Input((32, 32, 3))
    x = conv_block(inputs, 16, 3, strides=2, name="stem")
    x = inception_module(x, (8, 8, 16, 4, 8, 8), name="mixed")
    head = auxiliary_head(x, 5, name="helper")
    model = keras.Model(inputs, {"map": x, "helper": head})
    answers = model(np.zeros((2, 32, 32, 3)))
    assert answers["map"].shape == (2, 16, 16, 40)
    assert answers["helper"].shape == (2, 5)
    with pytest.raises(ValueError, match="at least 5x5"):
        auxiliary_head(inception_module(keras.Input((4, 4, 8)), (8, 8, 16, 4, 8, 8), name="small"), 5, name="helper")


def convolve(x, kernel, strides, zeros):
    """Caffe's and PyTorch's convolution, position by position: zeros above and below, left and right."""
    x = np.pad(x, ((0, 0), (zeros[0], zeros[0]), (zeros[1], zeros[1]), (0, 0)))
    rows, columns = (
        range(0, extent - size + 1, step)
        for extent, size, step in zip(x.shape[1:3], kernel.shape[:2], strides, strict=True)
    )
    windows = [[x[:, i : i + kernel.shape[0], j : j + kernel.shape[1]] for j in columns] for i in rows]
    return np.einsum("ijbrcd,rcdf->bijf", np.array(windows), kernel)


@pytest.mark.parametrize(
    ("kernel_size", "strides", "zeros"),
    [
        ((7, 1), 2, (3, 0)),
        ((1, 7), 2, (0, 3)),
        ((3, 5), (2, 1), (1, 2)),
        (3, (1, 2), (1, 1)),
        (1, (2, 1), (0, 0)),
        ((7, 1), 1, (3, 0)),
    ],
)
def test_explicit_padding_of_kernels_that_are_not_square(kernel_size, strides, zeros):
    """Weights of Caffe and PyTorch give other answers where a zero too many or too few is put around a map."""
    inputs = keras.Input((13, 12, 2))
    style = Style(padding="explicit", bias_initializer="ones")
    model = keras.Model(
        inputs, conv_block(inputs, 3, kernel_size, strides=strides, activation=None, name="conv", style=style)
    )
    x = np.random.default_rng(0).normal(size=(2, 13, 12, 2)).astype("float32")
    kernel, bias = model.get_weights()
    steps = strides if isinstance(strides, tuple) else (strides, strides)
    expected = convolve(x, kernel, steps, zeros) + bias
    assert model.output.shape[1:] == expected.shape[1:]
    # float32 in another order of additions.
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_zeros_as_given_by_the_caller():
    """One number for every side, or those above and below and those on the left and right."""
    inputs = keras.Input((8, 8, 1))
    shapes = [
        conv_block(inputs, 1, 3, padding=padding, name="conv").shape[1:3] for padding in (0, 2, (1, 0), "valid", "same")
    ]
    assert shapes == [(6, 6), (10, 10), (8, 6), (6, 6), (8, 8)]


@pytest.mark.parametrize(
    "policy", ["mixed_float16", pytest.param("bfloat16", marks=SLOW), pytest.param("float64", marks=SLOW)]
)
def test_other_policies(policy):
    """The heads answer in float32 where the body computes in half precision, and in the body's precision above."""
    model = GoogLeNet(input_shape=(65, 65, 3), classes=3, aux_heads=True, dtype=policy)
    compute = keras.dtype_policies.get(policy).compute_dtype
    assert model.get_layer("inception_3a").output.dtype == compute
    for head, answer in model(np.ones((1, 65, 65, 3), "float32")).items():
        assert answer.dtype == ("float64" if policy == "float64" else "float32"), head


def test_without_top_takes_any_size(network):
    assert network("googlenet", include_top=False).input.shape == (None, None, None, 3)
