"""Finds the tensors of a layer under the names and in the layouts of other frameworks."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

Array = np.ndarray
Transform = Callable[[Array], Array]


def _as_is(array: Array) -> Array:
    return array


def _oihw_to_hwio(kernel: Array) -> Array:
    return kernel.transpose(2, 3, 1, 0)


def _transpose(kernel: Array) -> Array:
    return kernel.T


@dataclass(frozen=True)
class Tensor:
    """Describes a tensor of a state, and how it becomes a weight.

    Attributes:
        name: The name of the tensor in the state.
        transform: A function that converts the layout of the state to that of Keras.
        default: The value if the state does not have the tensor; None if the state must have it.
        factor: The name of another tensor of the state, by which this one is multiplied along the last axis. If a batch
            normalization has no scale here, its scale in the state goes into the kernel and the moving mean.
    """

    name: str
    transform: Transform = _as_is
    default: float | None = None
    factor: str | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the tensors of the state that the weight is computed from."""
        return (self.name,) if self.factor is None else (self.name, self.factor)


def _flattened_dense(model: keras.Model, layer: keras.layers.Layer) -> Transform:
    """Returns a function that transposes a dense kernel.

    If the dense layer follows a flattened feature map, its inputs are also reordered from channels-first to
    channels-last.
    """
    flatten = "flatten" if layer.name in ("fc1", "fc6") else f"{layer.name.removesuffix('_fc')}_flatten"
    if flatten not in {other.name for other in model.layers}:
        return _transpose
    height, width, channels = model.get_layer(flatten).input.shape[1:]

    def transform(kernel: Array) -> Array:
        if kernel.ndim != 2 or kernel.shape[1] != height * width * channels:
            return kernel.T  # its wrong shape is reported later
        return kernel.reshape(-1, channels, height, width).transpose(2, 3, 1, 0).reshape(-1, kernel.shape[0])

    return transform


def torch_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    """Returns the PyTorch tensors of a layer.

    A convolution and its normalization are `conv` and `bn` in the module ``name``; any other layer is ``name`` itself.
    """
    normalization = _layer(model, f"{layer.name}_bn")
    if isinstance(layer, keras.layers.BatchNormalization):
        factor = None if layer.scale else f"{name}.bn.weight"
        gamma = [Tensor(f"{name}.bn.weight")] if layer.scale else []
        mean = Tensor(f"{name}.bn.running_mean", factor=factor)
        return [*gamma, Tensor(f"{name}.bn.bias"), mean, Tensor(f"{name}.bn.running_var")]
    if not isinstance(layer, keras.layers.Conv2D):
        return [Tensor(f"{name}.weight", _flattened_dense(model, layer)), Tensor(f"{name}.bias")]
    if normalization is None:
        return [Tensor(f"{name}.weight", _oihw_to_hwio), Tensor(f"{name}.bias")]
    factor = None if normalization.scale else f"{name}.bn.weight"
    return [Tensor(f"{name}.conv.weight", _oihw_to_hwio, factor=factor)]


def _layer(model: keras.Model, name: str) -> keras.layers.Layer | None:
    return next((layer for layer in model.layers if layer.name == name), None)


def caffe_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    """Returns the two Caffe blobs of a layer, called .weight and .bias."""
    if isinstance(layer, keras.layers.Conv2D):
        return [Tensor(f"{name}.weight", _oihw_to_hwio), Tensor(f"{name}.bias")][: 1 + layer.use_bias]
    if isinstance(layer, keras.layers.Dense):
        return [Tensor(f"{name}.weight", _flattened_dense(model, layer)), Tensor(f"{name}.bias")]
    raise ValueError(f"Caffe's networks here have no batch normalization. Received: layer {layer.name!r}")


def slim_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    """Returns the TF-slim variables of a layer, whose normalization is in the inner scope BatchNorm."""
    del model
    if isinstance(layer, keras.layers.BatchNormalization):
        gamma = [Tensor(f"{name}/BatchNorm/gamma", default=1.0)] if layer.scale else []
        return [
            *gamma,
            *(Tensor(f"{name}/BatchNorm/{leaf}") for leaf in ("beta", "moving_mean", "moving_variance")),
        ]
    if isinstance(layer, keras.layers.SeparableConv2D):
        return [Tensor(f"{name}/{leaf}") for leaf in ("depthwise_weights", "pointwise_weights", "biases")]
    if isinstance(layer, keras.layers.Conv2D):
        return [Tensor(f"{name}/weights"), Tensor(f"{name}/biases")][: 1 + layer.use_bias]

    def without_background(array: Array) -> Array:
        # TF-slim has a background class first, so it has 1001 classes for ImageNet's 1000.
        return array[..., 1:] if array.shape[-1] == layer.units + 1 else array

    def kernel(array: Array) -> Array:
        return without_background(array.reshape(array.shape[-2:]))

    return [Tensor(f"{name}/weights", kernel), Tensor(f"{name}/biases", without_background)]


def keras_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    """Returns the weights of a layer, numbered as in `read_weights`."""
    del model, name
    return [Tensor(f"{layer.name}/{index}") for index in range(len(layer.weights))]


def keras_applications_tensors(model: keras.Model, layer: keras.layers.Layer, name: str) -> list[Tensor]:
    """Returns the weights of a layer, named by the last part of their paths."""
    del model, name
    return [Tensor(f"{layer.name}/{variable.path.rpartition('/')[2]}") for variable in layer.weights]


def by_building_order(model: keras.Model, state: Mapping[str, Any]) -> Mapping[str, str]:
    """Maps the layers that keras.applications leaves unnamed to the layers here that are built at the same position.

    Keras numbers unnamed layers throughout a session, in the order in which the code builds them, block by block and
    branch by branch. `model.layers` has a different order, which follows the depth of the graph.

    Returns:
        A mapping from each name in the state to "LAYER/VARIABLE", with the name of the layer here.

    Raises:
        ValueError: If there are fewer unnamed layers than here, or their shapes differ. The message names the first
            difference.
    """
    plain = _by_layer(state)
    shapes = {plain[name]: shape_of(tensor) for name, tensor in state.items()}
    places: dict[str, int] = {}
    for layer in model.layers:
        places.setdefault(layer.name.partition("_branch")[0], len(places))

    def building_order(layer: keras.layers.Layer) -> tuple[int, str]:
        block, _, place = layer.name.removesuffix("_bn").partition("_branch")
        return places[block], place

    def number(name: str) -> int:
        return int(name.rpartition("_")[2]) if name[-1].isdigit() and "_" in name else 0

    theirs = dict.fromkeys(name.rpartition("/")[0] for name in shapes)
    names: dict[str, str] = {}
    for prefix, kind in (("conv2d", keras.layers.Conv2D), ("batch_normalization", keras.layers.BatchNormalization)):
        unnamed = sorted((name for name in theirs if re.fullmatch(rf"{prefix}(_\d+)?", name)), key=number)
        ours = [layer for layer in model.layers if isinstance(layer, kind) and layer.name not in theirs]
        ours.sort(key=building_order)
        if unnamed:
            _check_order(model, shapes, unnamed, ours)
        names |= dict(zip(unnamed, (layer.name for layer in ours), strict=False))
    renamed = {}
    for name, known in plain.items():
        layer, _, variable = known.rpartition("/")
        renamed[name] = f"{names.get(layer, layer)}/{variable}"
    return renamed


def _by_layer(state: Mapping[str, Any]) -> Mapping[str, str]:
    """Shortens each name to "LAYER/VARIABLE", as Keras 3 names them.

    The names may start with the name of an enclosing model, and Keras 1 called a kernel LAYER_W and a bias LAYER_b, as
    the VGG files of keras.applications still do.
    """
    renamed = {}
    for name in state:
        *_, layer, variable = ("", *name.split("/"))
        letter = re.fullmatch(rf"{re.escape(layer)}_([Wb])(_\d+)?", variable)
        variable = {"W": "kernel", "b": "bias"}[letter[1]] if letter else variable
        renamed[name] = f"{layer}/{variable}"
    # The short names are ambiguous if a file holds two models with the same layers, so the full names are kept then.
    return renamed if len(set(renamed.values())) == len(state) else {name: name for name in state}


def _check_order(
    model: keras.Model, shapes: Mapping[str, tuple[int, ...]], unnamed: list[str], ours: list[keras.layers.Layer]
) -> None:
    """Raises an error if the numbered layers differ from the layers here in building order."""
    for place, layer in enumerate(ours):
        wanted = tuple(layer.weights[0].shape)
        before = f"; the layers match up to {unnamed[place - 1]}, which is {ours[place - 1].name}" if place else ""
        if place == len(unnamed):
            raise ValueError(
                f"The file numbers {len(unnamed)} layers, {unnamed[0]} to {unnamed[-1]}, but {model.name!r} has "
                f"{len(ours)} such layers: {layer.name} {wanted} and those after it are missing{before}"
            )
        names = [f"{unnamed[place]}/{leaf}" for leaf in _FIRST_WEIGHTS]
        first = next((name for name in names if name in shapes), "")
        received = shapes.get(first)
        if received != wanted:
            raise ValueError(
                f"The file numbers {len(unnamed)} layers, {unnamed[0]} to {unnamed[-1]}, and {model.name!r} has "
                f"{len(ours)} such layers: {unnamed[place]} is the first whose shape differs from the layer built at "
                f"its position, {layer.name} {wanted}{before}. Received: {first or 'no kernel'} {received}"
            )


# The names that the first weight of a convolution or a normalization may have. A normalization may have no scale.
_FIRST_WEIGHTS = ("kernel", "gamma", "beta", "0")


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Returns the shape of an array, or of a tensor in a file without reading it."""
    return tuple(tensor.shape) if hasattr(tensor, "shape") else np.shape(tensor)
