"""Another framework's ``{name: array}`` into a model, by the names of its layers."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

logger = logging.getLogger(__name__)

Array = np.ndarray
Transform = Callable[[Array], Array]

# Layers of the parts that a model may leave out, while a file has their weights.
OPTIONAL_LAYERS = ("aux1_conv", "aux1_fc", "aux1", "aux2_conv", "aux2_fc", "aux2", "predictions")


def _as_is(array: Array) -> Array:
    return array


def _oihw_to_hwio(kernel: Array) -> Array:
    return kernel.transpose(2, 3, 1, 0)


def _transpose(kernel: Array) -> Array:
    return kernel.T


@dataclass(frozen=True)
class Tensor:
    """One tensor of a state, and what to do with it.

    Attributes:
        name: Its name in the state.
        transform: From the state's layout to Keras's.
        default: What it is if the state does not have it; None if it must.
    """

    name: str
    transform: Transform = _as_is
    default: float | None = None


@dataclass(frozen=True)
class Source:
    """How one framework names and lays out the tensors of a network.

    Attributes:
        layer_name: From the name of a layer here to its name there; None if it has no counterpart.
        tensors: From a layer here and its name there to the tensors of the layer's weights, in Keras's order.
        bookkeeping: What matches is no weight and is passed over in silence.
    """

    layer_name: Callable[[str], str | None]
    tensors: Callable[[keras.Model, keras.layers.Layer, str], list[Tensor]]
    bookkeeping: re.Pattern[str] = re.compile(r"(?!)")


def _by_table(modules: str, branches: Mapping[str, str], others: Mapping[str, str]) -> Callable[[str], str | None]:
    """Names by rule for the layers of Inception modules ("3a" for {module}) and by table for the others."""

    def layer_name(name: str) -> str | None:
        match = re.fullmatch(r"inception_(\d[a-z])_(\w+)", name)
        if match and match[2] in branches:
            return modules.format(module=match[1]) + branches[match[2]]
        return others.get(name)

    return layer_name


def _flattened_dense(model: keras.Model, layer: keras.layers.Layer) -> Transform:
    """Transposes a dense kernel; one that follows a flattened map turns from channels-first to channels-last."""
    flatten = f"{layer.name.removesuffix('_fc')}_flatten"
    if flatten not in {other.name for other in model.layers}:
        return _transpose
    height, width, channels = model.get_layer(flatten).input.shape[1:]

    def transform(kernel: Array) -> Array:
        if kernel.ndim != 2 or kernel.shape[1] != height * width * channels:
            return kernel.T  # reported as misshapen
        return kernel.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])

    return transform


# torchvision/models/googlenet.py: BasicConv2d holds `conv` and `bn`.
_torchvision_layer = _by_table(
    "inception{module}.",
    {
        "1x1": "branch1",
        "3x3_reduce": "branch2.0",
        "3x3": "branch2.1",
        "5x5_reduce": "branch3.0",
        "5x5": "branch3.1",
        "pool_proj": "branch4.1",
    },
    {
        "conv1_7x7": "conv1",
        "conv2_3x3_reduce": "conv2",
        "conv2_3x3": "conv3",
        "aux1_conv": "aux1.conv",
        "aux1_fc": "aux1.fc1",
        "aux1": "aux1.fc2",
        "aux2_conv": "aux2.conv",
        "aux2_fc": "aux2.fc1",
        "aux2": "aux2.fc2",
        "predictions": "fc",
    },
)


def _torchvision_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma = [Tensor(f"{name}.bn.weight")] if layer.scale else []
        return [*gamma, *(Tensor(f"{name}.bn.{leaf}") for leaf in ("bias", "running_mean", "running_var"))]
    if isinstance(layer, keras.layers.Conv2D):
        bias = [Tensor(f"{name}.conv.bias")] if layer.use_bias else []
        return [Tensor(f"{name}.conv.weight", _oihw_to_hwio), *bias]
    return [Tensor(f"{name}.weight", _flattened_dense(model, layer)), Tensor(f"{name}.bias")]


# BVLC caffe models/bvlc_googlenet/train_val.prototxt; a layer's two blobs are called .weight and .bias.
_caffe_layer = _by_table(
    "inception_{module}/",
    {branch: branch for branch in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")},
    {
        "conv1_7x7": "conv1/7x7_s2",
        "conv2_3x3_reduce": "conv2/3x3_reduce",
        "conv2_3x3": "conv2/3x3",
        "aux1_conv": "loss1/conv",
        "aux1_fc": "loss1/fc",
        "aux1": "loss1/classifier",
        "aux2_conv": "loss2/conv",
        "aux2_fc": "loss2/fc",
        "aux2": "loss2/classifier",
        "predictions": "loss3/classifier",
    },
)


def _caffe_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    if isinstance(layer, keras.layers.Conv2D):
        return [Tensor(f"{name}.weight", _oihw_to_hwio), Tensor(f"{name}.bias")][: 1 + layer.use_bias]
    if isinstance(layer, keras.layers.Dense):
        return [Tensor(f"{name}.weight", _flattened_dense(model, layer)), Tensor(f"{name}.bias")]
    raise ValueError(f"Caffe's GoogLeNet has no batch normalization. Received: layer {layer.name!r}")


# tensorflow/models research/slim/nets/inception_v1.py. Its modules start at Mixed_3b where the paper's start at 3a.
_slim_branches = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
_slim_others = {
    "conv1_7x7": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
    # the one name that breaks the rule
    "inception_5a_5x5": "Mixed_5b/Branch_2/Conv2d_0a_3x3",
    "predictions": "Logits/Conv2d_0c_1x1",
}


def _slim_layer(name: str) -> str | None:
    match = re.fullmatch(r"inception_(\d)([a-e])_(\w+)", name)
    if name in _slim_others:
        there = _slim_others[name]
    elif match and match[3] in _slim_branches:
        there = f"Mixed_{match[1]}{chr(ord(match[2]) + 1)}/{_slim_branches[match[3]]}"
    else:
        return None
    return f"InceptionV1/{there}"


def _slim_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    del model
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma = [Tensor(f"{name}/BatchNorm/gamma", default=1.0)] if layer.scale else []
        return [
            *gamma,
            *(Tensor(f"{name}/BatchNorm/{leaf}") for leaf in ("beta", "moving_mean", "moving_variance")),
        ]
    if isinstance(layer, keras.layers.Conv2D):
        return [Tensor(f"{name}/weights"), Tensor(f"{name}/biases")][: 1 + layer.use_bias]

    def without_background(array: Array) -> Array:
        # Slim counts a background class first: 1001 for ImageNet's 1000.
        return array[..., 1:] if array.shape[-1] == layer.units + 1 else array

    def kernel(array: Array) -> Array:
        return without_background(array.reshape(array.shape[-2:]))

    return [Tensor(f"{name}/weights", kernel), Tensor(f"{name}/biases", without_background)]


def _keras_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    del model
    return [Tensor(f"{name}/{index}") for index in range(len(layer.weights))]


SOURCES = {
    "caffe": Source(_caffe_layer, _caffe_tensors),
    "keras": Source(lambda name: name, _keras_tensors),
    "slim": Source(_slim_layer, _slim_tensors, re.compile(r"global_step")),
    "torchvision": Source(_torchvision_layer, _torchvision_tensors, re.compile(r".*\.num_batches_tracked")),
}


def load_state(model: keras.Model, state: Mapping[str, Any], source: str) -> None:
    """Puts the weights of another framework's network into a model, all of them or none.

    Tensors of parts that the model leaves out (auxiliary heads, the top) are passed over with one log line.

    Args:
        model: A model of this package that computes the same function as the other network.
        state: ``{name: array}`` with the other framework's names and layouts.
        source: Whose names they are: ``"torchvision"`` (a state dict), ``"caffe"`` (``LAYER.weight`` and
            ``LAYER.bias`` for BVLC's blobs), ``"slim"`` (checkpoint variables; a head of one class more than the model
            loses the background class) or ``"keras"`` (see `read_weights`).

    Raises:
        ValueError: If the source is unknown, or tensors are missing, left over or of another shape than the model's:
            one message that lists them all. The model is then as it was.
    """
    if source not in SOURCES:
        raise ValueError(f"`source` must be one of {', '.join(SOURCES)}. Received: {source!r}")
    framework = SOURCES[source]
    assignments, missing, misshapen, used = [], [], [], set()
    for variable, tensor in _pairs(model, framework):
        used.add(tensor.name)
        if tensor.name in state:
            array = tensor.transform(np.asarray(state[tensor.name]))
        elif tensor.default is not None:
            array = np.full(variable.shape, tensor.default)
        else:
            missing.append(tensor.name)
            continue
        if array.shape != tuple(variable.shape):
            misshapen.append(f"{tensor.name} {array.shape} for {variable.path} {tuple(variable.shape)}")
        assignments.append((variable, array))

    left_out = [name for name in OPTIONAL_LAYERS if name not in {layer.name for layer in model.layers}]
    prefixes = tuple(there for there in map(framework.layer_name, left_out) if there)
    extra = [name for name in state if name not in used and not framework.bookkeeping.fullmatch(name)]
    passed_over = [name for name in extra if any(re.match(rf"{re.escape(there)}(\W|_bn/)", name) for there in prefixes)]
    extra = [name for name in extra if name not in passed_over]

    problems = [
        f"{len(names)} {kind} ({', '.join(names)})"
        for kind, names in (("missing", missing), ("unexpected", extra), ("of another shape", misshapen))
        if names
    ]
    if problems:
        raise ValueError(
            f"This {source} state does not fit {model.name!r}; load it into the model that it was saved from. "
            f"Received tensors: {'; '.join(problems)}"
        )
    if passed_over:
        logger.warning(
            "%s has no %s: passed over %d tensors",
            model.name,
            ", ".join(left_out),
            len(passed_over),
        )
    for variable, array in assignments:
        variable.assign(array)


def _pairs(model: keras.Model, framework: Source) -> Iterator[tuple[keras.Variable, Tensor]]:
    """Every weight of the model with the tensor that belongs into it."""
    for layer in model.layers:
        if not layer.weights:
            continue
        name = framework.layer_name(layer.name) or framework.layer_name(layer.name.removesuffix("_bn"))
        if name is None:
            raise ValueError(f"The other network has no counterpart of layer {layer.name!r} of {model.name!r}.")
        yield from zip(layer.weights, framework.tensors(model, layer, name), strict=True)
