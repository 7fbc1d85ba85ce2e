"""Builds an equivalent network with fewer layers for inference, by folding what only training needs into others."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import layers

from googlenet_keras.describe.cost import count_multiply_adds
from googlenet_keras.describe.graph import Call, calls
from googlenet_keras.images import Preprocessing
from googlenet_keras.keras_types import Tensor
from googlenet_keras.layers import LocalResponseNormalization
from googlenet_keras.models import inference_model

Layer: TypeAlias = layers.Layer
Weights: TypeAlias = dict[str, np.ndarray]

# Layers that return their input unchanged except in training.
_ONLY_TRAINING = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    layers.ActivityRegularization,
    layers.Identity,
)


def optimize_for_inference(
    model: keras.Model,
    *,
    preprocessing: Preprocessing | None = None,
    merge: bool = False,
    report: Callable[[str], None] = lambda saved: None,
) -> keras.Model:
    """Returns an equivalent model of plain Keras layers, without the layers that only training needs.

    Batch normalization and ReLU are folded into the convolution or dense layer before them, and zero padding into the
    convolution or maximum pooling after it, where that is exact. An average pooling and the 1x1 convolution after it
    change places, because both are linear and the convolution leaves fewer channels to average. Dropout and auxiliary
    heads are left out. Local response normalization is replaced by Keras operations, so that the model loads where this
    package is not installed. In float32, the outputs are equal to within 1e-5 of the largest output.

    Args:
        model: A functional or sequential model with its weights. It is not changed.
        preprocessing: If given, the returned model takes pixels in [0, 255], RGB or grey, and preprocesses them itself
            in its first convolution. If that convolution pads with zeros, the mean is subtracted before it instead.
        merge: Whether to merge parallel 1x1 convolutions of one tensor into one convolution, whose output is then
            split. This is not faster in any of the runtimes measured so far; see ``googlenet_keras.benchmark infer``.
        report: Called once with a sentence that describes the savings.

    Returns:
        The optimized model; its layers have the names of those that they replace.

    Raises:
        ValueError: If the model has no graph of layers, or ``preprocessing`` is given and the model does not begin with
            a convolution.
    """
    before = model
    if isinstance(model.output, dict) and "predictions" in model.output:
        model = inference_model(model)
    plan = _plan(model, preprocessing, merge=merge)
    optimized = _rebuild(model, plan)
    report(_savings(before, optimized, plan))
    return optimized


@dataclass
class _Fused:
    """A convolution or dense layer, and the layers that are folded into it.

    Attributes:
        layer: The layer.
        normalization: The batch normalization after the layer; None if there is none.
        relu: Whether a ReLU follows the layer or its batch normalization.
        padding: The layer's padding in place of a `ZeroPadding2D` before it; None keeps the layer's own padding.
        pool: The average pooling before the layer, which is moved after it; None if there is none.
        pixels: The preprocessing that is folded into the layer; None if there is none.
        group: The names of the 1x1 convolutions that are merged into one, including this layer; empty if it is not
            merged.
    """

    layer: Layer
    normalization: Layer | None = None
    relu: bool = False
    padding: str | None = None
    pool: Layer | None = None
    pixels: Preprocessing | None = None
    group: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """True unless the layer is copied without a change."""
        return self != _Fused(self.layer)


@dataclass
class _Plan:
    """The changes to a model's layers, by the names of the layers.

    Attributes:
        skipped: The layers that are replaced by their input, and the reason for each.
        fused: The convolutions and dense layers, with what is folded into each.
        pools: The poolings that replace a `ZeroPadding2D` by a padding of their own, and that padding.
        mean: The mean to subtract from the pixels, per channel, and the name of the layer before which it is
            subtracted; None if no mean is subtracted.
    """

    skipped: dict[str, str] = field(default_factory=dict)
    fused: dict[str, _Fused] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    mean: tuple[np.ndarray, str] | None = None


class _Links:
    """The connections between a model's layers; they are only followed to layers that are called once."""

    def __init__(self, model: keras.Model) -> None:
        self.calls, answers = calls(model)
        self._consumers: dict[int, list[int]] = {number: [] for number in range(len(self.calls))}
        for number, call in enumerate(self.calls):
            for parent in call.parents:
                self._consumers[parent].append(number)
        self._answers = set(answers)
        uses = [call.layer.name for call in self.calls]
        self._once = {name for name in uses if uses.count(name) == 1}

    def once(self, number: int) -> bool:
        """Returns whether the layer of a call is called only once."""
        return self.calls[number].layer.name in self._once

    def next(self, number: int | None) -> int | None:
        """Returns the only call that uses the output of a call, or None.

        It returns None if the model itself returns the output, or if the only call has other inputs or a layer that is
        called more than once.
        """
        if number is None or number in self._answers or len(self._consumers[number]) != 1:
            return None
        (following,) = self._consumers[number]
        return following if self.once(following) and len(self.calls[following].parents) == 1 else None

    def layer(self, number: int | None) -> Any:
        """Returns the layer of a call, or None if ``number`` is None."""
        return None if number is None else self.calls[number].layer

    def is_nonnegative(self, number: int) -> bool:
        """Returns whether the output of a call is known to have no negative values."""
        call = self.calls[number]
        match call.layer:
            case layers.ReLU():
                return _is_relu(call.layer)
            case layers.Conv2D() | layers.Dense() | layers.Activation():
                return call.layer.activation is keras.activations.relu
            case (
                layers.MaxPooling2D()
                | layers.AveragePooling2D()
                | layers.Concatenate()
                | layers.Add()
                | layers.ZeroPadding2D()
                | LocalResponseNormalization()
            ):
                return all(map(self.is_nonnegative, call.parents))
        return False


def _plan(model: keras.Model, preprocessing: Preprocessing | None, *, merge: bool) -> _Plan:
    links = _Links(model)
    plan = _Plan()
    for number, call in enumerate(links.calls):
        layer = call.layer
        if isinstance(layer, _ONLY_TRAINING):
            plan.skipped[layer.name] = "training"
        elif isinstance(layer, layers.Conv2D | layers.Dense | layers.SeparableConv2D) and links.once(number):
            _fuse(links, number, plan)
        elif isinstance(layer, layers.ZeroPadding2D) and links.once(number):
            _fold_padding(links, number, plan)
    for call in links.calls:
        _exchange_with_pool(links, call, plan)
    if preprocessing is not None:
        _fold_preprocessing(links, preprocessing, plan)
    if merge:
        _merge(links, plan)
    return plan


def _fuse(links: _Links, number: int, plan: _Plan) -> None:
    """Folds the batch normalization and the ReLU after a convolution or dense layer into it."""
    layer = links.calls[number].layer
    fused = plan.fused.setdefault(layer.name, _Fused(layer))
    if layer.activation is not keras.activations.linear:
        return
    following = links.next(number)
    normalization = links.layer(following)
    if isinstance(normalization, layers.BatchNormalization) and normalization.axis in (-1, len(layer.output.shape) - 1):
        plan.skipped[normalization.name] = "normalization"
        fused.normalization = normalization
        following = links.next(following)
    activation = links.layer(following)
    if _is_relu(activation):
        plan.skipped[activation.name] = "activation"
        fused.relu = True


def _is_relu(layer: Any) -> bool:
    match layer:
        case layers.ReLU():
            return layer.max_value is None and not layer.negative_slope and not layer.threshold
        case layers.Activation():
            return layer.activation is keras.activations.relu
    return False


def _fold_padding(links: _Links, number: int, plan: _Plan) -> None:
    """Folds a zero padding into the convolution or maximum pooling after it.

    It does so only where this is exact: the padding equals Keras's ``same`` padding, or no window reaches the zeros.

    Source of ``same``: TensorFlow's documentation of ``tf.nn.convolution``, "Notes on padding".
    """
    padding = links.calls[number].layer
    layer = links.layer(links.next(number))
    extents = padding.input.shape[1:3]
    if not isinstance(layer, layers.Conv2D | layers.MaxPooling2D) or None in extents or layer.padding != "valid":
        return
    is_pool = isinstance(layer, layers.MaxPooling2D)
    if is_pool and not links.is_nonnegative(number):
        return
    windows = layer.pool_size if is_pool else layer.kernel_size
    if not is_pool and tuple(layer.dilation_rate) != (1, 1):
        return
    same, unused = [], []
    for extent, size, stride, zeros in zip(extents, windows, layer.strides, padding.padding, strict=True):
        total = max((-(-extent // stride) - 1) * stride + size - extent, 0)
        same.append(tuple(zeros) == (total // 2, total - total // 2))
        # Zeros at the end of the axis that no window reaches.
        unused.append(not zeros[0] and (extent + sum(zeros) - size) // stride == (extent - size) // stride)
    if not (all(same) or all(unused)):
        return
    plan.skipped[padding.name] = "padding"
    kind = "same" if all(same) else "valid"
    if is_pool:
        plan.pools[layer.name] = kind
    else:
        plan.fused.setdefault(layer.name, _Fused(layer)).padding = kind


def _exchange_with_pool(links: _Links, call: Call, plan: _Plan) -> None:
    """Moves a 1x1 convolution with fewer outputs than inputs in front of an average pooling that feeds nothing else.

    Keras's average pooling does not count the zeros of its padding, so the average of a bias is the bias.
    """
    layer = call.layer
    if layer.name not in plan.fused or not _is_1x1(layer) or len(call.parents) != 1:
        return
    (parent,) = call.parents
    pool = links.layer(parent)
    if isinstance(pool, layers.AveragePooling2D) and links.once(parent) and links.next(parent) is not None:
        fused = plan.fused[layer.name]
        linear = layer.activation is keras.activations.linear or layer.activation is keras.activations.relu
        if linear and layer.filters < pool.output.shape[-1]:
            fused.pool = pool
            plan.skipped[pool.name] = "pool"


def _is_1x1(layer: keras.Operation) -> bool:
    return (
        isinstance(layer, layers.Conv2D)
        and tuple(layer.kernel_size) == (1, 1)
        and tuple(layer.strides) == (1, 1)
        and layer.groups == 1
    )


def _fold_preprocessing(links: _Links, preprocessing: Preprocessing, plan: _Plan) -> None:
    """Folds the preprocessing into the first convolution, so that it takes pixels."""
    (start,) = [number for number, call in enumerate(links.calls) if isinstance(call.layer, layers.InputLayer)]
    following = links.next(start)
    beginning = first = links.layer(following)
    if isinstance(beginning, layers.ZeroPadding2D):
        first = links.layer(links.next(following))
    if not isinstance(first, layers.Conv2D | layers.SeparableConv2D) or getattr(first, "groups", 1) != 1:
        found = "several layers" if first is None else first.name
        raise ValueError(
            f"Preprocessing can only be folded into a convolution at the beginning of the model. Received: {found}"
        )
    plan.fused[first.name].pixels = preprocessing
    mean, _ = preprocessing.affine(int(links.calls[start].shape[-1] or 0))
    if mean.any() and (beginning is not first or first.padding == "same"):
        # The mean is subtracted from the pixels, so it must have the order of their channels.
        plan.mean = mean[::-1] if preprocessing.channels == "BGR" else mean, beginning.name


def _merge(links: _Links, plan: _Plan) -> None:
    """Groups the 1x1 convolutions that read the same tensor and have the same activation."""
    groups: dict[tuple[object, ...], list[_Fused]] = {}
    for call in links.calls:
        fused = plan.fused.get(call.layer.name)
        if fused and _is_1x1(fused.layer) and fused.padding is None and fused.pixels is None and fused.pool is None:
            (source,) = call.parents
            while links.calls[source].layer.name in plan.skipped:
                (source,) = links.calls[source].parents
            groups.setdefault((source, fused.relu, fused.layer.activation), []).append(fused)
    for group in groups.values():
        if len(group) > 1:
            for fused in group:
                fused.group = tuple(one.layer.name for one in group)


def _rebuild(model: keras.Model, plan: _Plan) -> keras.Model:
    """Builds the model that results from the plan."""
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    copies: dict[int, keras.Operation] = {}
    merged: dict[str, Tensor] = {}

    def call(layer: keras.Operation, *arguments: Any, **options: Any) -> Any:
        if plan.mean and layer.name == plan.mean[1]:
            subtraction = layers.Rescaling(1.0, offset=(-plan.mean[0]).tolist(), name="subtract_mean")
            arguments = (subtraction(*arguments),)
        if layer.name in plan.skipped:
            return arguments[0]
        if isinstance(layer, LocalResponseNormalization) and layer.compute_dtype == "float32":
            return layer.as_operations(*arguments)
        fused = plan.fused.get(layer.name)
        if fused and fused.group:
            if layer.name not in merged:
                merged.update(_merged(plan, fused.group, arguments[0]))
            return merged[layer.name]
        if fused and fused.changed:
            return _fused(arguments[0], fused, subtracted=plan.mean is not None)
        if id(layer) not in copies:
            copies[id(layer)] = _copy(layer, plan)
        return copies[id(layer)](*arguments, **options)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _copy(layer: keras.Operation, plan: _Plan) -> keras.Operation:
    if isinstance(layer, keras.Model):
        return optimize_for_inference(layer)
    # Our subclass calls TensorFlow's fused operation; Keras's own class has the same outputs, and loads anywhere.
    kind = layers.BatchNormalization if isinstance(layer, layers.BatchNormalization) else type(layer)
    config = layer.get_config()
    if layer.name in plan.pools:
        config["padding"] = plan.pools[layer.name]
    copy = kind.from_config(config)
    if getattr(layer, "weights", None):
        copy.build(layer.input.shape)
        copy.set_weights(layer.get_weights())
    return copy


def _fused(x: Tensor, fused: _Fused, *, subtracted: bool) -> Tensor:
    """Calls a copy of a layer that includes everything that is folded into it."""
    layer = fused.layer
    weights = _folded_weights(fused, subtracted=subtracted)
    config = layer.get_config() | {"use_bias": True}
    if fused.padding:
        config["padding"] = fused.padding
    relu = fused.relu or layer.activation is keras.activations.relu
    if fused.relu or fused.pool:
        config["activation"] = "relu" if relu and not fused.pool else "linear"
    copy = type(layer).from_config(config)
    x = copy(x)
    copy.set_weights(list(weights.values()))
    if fused.pool:
        x = type(fused.pool).from_config(fused.pool.get_config())(x)
        if relu:
            x = layers.ReLU(dtype=layer.dtype_policy, name=f"{layer.name}_relu")(x)
    return x


def _merged(plan: _Plan, names: tuple[str, ...], x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Merges several convolutions into one, and yields the name and the part of the output of each."""
    group = [plan.fused[name] for name in names]
    first = group[0]
    parts = [_folded_weights(fused) for fused in group]
    filters = [part["kernel"].shape[-1] for part in parts]
    config = first.layer.get_config() | {
        "name": "_and_".join(names),
        "filters": sum(filters),
        "use_bias": True,
    }
    if first.relu:
        config["activation"] = "relu"
    whole = layers.Conv2D.from_config(config)
    answer = whole(x)
    whole.set_weights([np.concatenate([part[key] for part in parts], axis=-1) for key in ("kernel", "bias")])
    ends = np.cumsum(filters)[:-1].tolist()
    yield from zip(names, keras.ops.split(answer, ends, axis=-1), strict=True)


def _folded_weights(fused: _Fused, *, subtracted: bool = False) -> Weights:
    """Returns the weights of a layer with a bias, with its batch normalization and preprocessing folded in.

    Args:
        fused: The layer.
        subtracted: Whether the mean of the preprocessing is already subtracted from the pixels.
    """
    layer = fused.layer
    kernels = ("depthwise_kernel", "pointwise_kernel") if isinstance(layer, layers.SeparableConv2D) else ("kernel",)
    weights = {name: np.asarray(getattr(layer, name), "float64") for name in kernels}
    last = kernels[-1]
    bias = np.asarray(layer.bias, "float64") if layer.use_bias else np.zeros(weights[last].shape[-1])
    if fused.normalization is not None:
        factor, offset = _as_affine(fused.normalization)
        weights[last] = weights[last] * factor
        bias = bias * factor + offset
    if fused.pixels is not None:
        bias = bias + _fold_pixels(weights, fused.pixels, subtracted=subtracted)
    return {name: weight.astype("float32") for name, weight in {**weights, "bias": bias}.items()}


def _as_affine(normalization: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns the factor and the offset of a batch normalization in inference, per channel."""
    factor = 1 / np.sqrt(np.asarray(normalization.moving_variance, "float64") + normalization.epsilon)
    if normalization.scale:
        factor = factor * np.asarray(normalization.gamma, "float64")
    offset = -np.asarray(normalization.moving_mean, "float64") * factor
    if normalization.center:
        offset = offset + np.asarray(normalization.beta, "float64")
    return factor, offset


def _fold_pixels(weights: Weights, preprocessing: Preprocessing, *, subtracted: bool) -> np.ndarray:
    """Changes the kernel of the first convolution so that it takes pixels, and returns the change of the bias."""
    name, *others = weights
    kernel = weights[name]
    mean, scale = preprocessing.affine(kernel.shape[2])
    kernel = kernel * scale[:, np.newaxis]
    seen = kernel.sum(axis=(0, 1))  # (channels, filters): what ones in one channel add to each output
    if others:
        (pointwise,) = others
        of_channels = weights[pointwise].reshape(*seen.shape, -1)
        constant = np.einsum("c,cm,cmf->f", mean, seen, of_channels)
        if preprocessing.channels == "BGR" and len(mean) > 1:
            of_channels = of_channels[::-1]
        weights[pointwise] = of_channels.reshape(weights[pointwise].shape)
    else:
        constant = mean @ seen
    if preprocessing.channels == "BGR" and len(mean) > 1:
        kernel = kernel[:, :, ::-1]
    weights[name] = kernel
    return np.zeros_like(constant) if subtracted else -constant


def _savings(before: keras.Model, after: keras.Model, plan: _Plan) -> str:
    """Describes the savings in a sentence."""
    reasons = list(plan.skipped.values())
    words: Mapping[str, str] = {
        "normalization": "batch normalizations folded",
        "activation": "activations fused",
        "padding": "paddings folded",
        "pool": "average poolings moved behind a 1x1 convolution",
        "training": "training-only layers removed",
    }
    done = [f"{reasons.count(reason)} {text}" for reason, text in words.items() if reason in reasons]
    merged = {fused.group for fused in plan.fused.values() if fused.group}
    if merged:
        done.append(f"{sum(map(len, merged))} 1x1 convolutions merged into {len(merged)}")
    numbers = [f"layers {len(before.layers)} to {len(after.layers)}"]
    numbers.append(f"parameters {before.count_params():,} to {after.count_params():,}")
    if None not in before.input.shape[1:3]:
        numbers.append(f"multiply-adds {count_multiply_adds(before):,} to {count_multiply_adds(after):,}")
    return f"{', '.join(done) or 'nothing to fold'}; {', '.join(numbers)}"
