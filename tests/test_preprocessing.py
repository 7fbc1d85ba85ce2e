"""Images reach the network in the range that its published weights were trained on."""

import keras
import numpy as np
import pytest

from googlenet_keras import list_models, preprocess_input

PIXELS = np.array([[[[0, 127.5, 255], [10, 20, 30]]]], "float32")  # RGB

RGB = PIXELS[0, 0]
MINUS_ONE_TO_ONE = RGB / 127.5 - 1
STANDARDIZED = (RGB / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]  # torchvision/transforms/_presets.py
BVLC = RGB[:, ::-1] - [104, 117, 123]
KERAS_CAFFE = RGB[:, ::-1] - [103.939, 116.779, 123.68]  # keras/src/applications/imagenet_utils.py, mode "caffe"


def expected(name):
    """What the weights of each network were trained on, in the words of its own code."""
    match name:
        case "googlenet":
            return RGB - [123, 117, 104]
        case "googlenet_bvlc" | "alexnet_caffe":
            return BVLC
        case "vgg16" | "vgg19":
            return KERAS_CAFFE
        case "googlenet_d2l" | "nin" | "mnist_inception" | "mnist_residual":
            return RGB / 255
        case "alexnet" | "vgg11" | "vgg13" | "vgg11_bn" | "vgg13_bn" | "vgg16_bn" | "vgg19_bn":
            return STANDARDIZED
    return MINUS_ONE_TO_ONE


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("kind", ["float32", "float64", "uint8", "tensor"])
def test_declared_ranges(name, kind):
    pixels = keras.ops.convert_to_tensor(PIXELS) if kind == "tensor" else PIXELS.astype(kind)
    before = np.array(pixels)
    result = preprocess_input(pixels, name)
    assert isinstance(result, np.ndarray) == (kind != "tensor")
    assert result.dtype == "float32"
    # uint8 rounds 127.5 down.
    np.testing.assert_allclose(result, [[expected(name)]], atol=0.5 if kind == "uint8" else 1e-5)
    np.testing.assert_array_equal(pixels, before)  # keras.applications writes over it


def test_torchvisions_two_steps_are_ours():
    """transform_input turns ImageNet-normalized RGB into [-1, 1]: the same as ours without either."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalized = (PIXELS / 255 - mean) / deviation
    transformed = normalized * (deviation / 0.5) + (mean - 0.5) / 0.5
    np.testing.assert_allclose(preprocess_input(PIXELS, "googlenet_torchvision"), transformed, atol=1e-6)


@pytest.mark.parametrize("name", list_models())
def test_one_channel(name):
    grey = np.full((1, 2, 2, 1), 100, "uint8")
    result = preprocess_input(grey, name)
    assert result.shape == grey.shape
    assert result[0, 0, 0, 0] == pytest.approx(np.mean(preprocess_input(np.full((1, 3), 100.0), name)), abs=1e-5)
