"""Defines what all factories share: the arguments of keras.applications, declared and documented only once."""

import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from googlenet_keras.keras_types import Activation, Dtype, Regularizer, Tensor
from googlenet_keras.models.registry import ModelRecord, register


@dataclass(frozen=True)
class Arguments:
    """The arguments that every factory has; its own arguments come before the last two of these.

    Attributes:
        include_top: Whether the network includes its top, whose last layer is the classifier ``predictions``.
        weights: None for random initialization, the path of a weight file (see `load_weights`), or the name of weights
            that are published for the network (see `list_weights`), such as ``"imagenet"``, which are downloaded once.
            If the file has a card, ``create_model(NAME, weights=...)`` uses the arguments that the weights were trained
            with as defaults.
        input_tensor: A Keras tensor (batch, height, width, channels) to use as the input; None creates a new input.
        input_shape: (height, width, channels) in pixels. None means OWN_SHAPE with the top, and any height and width
            without it.
        pooling: What a network without the top returns: None means the last feature map (batch, height, width,
            channels), and ``"avg"`` and ``"max"`` mean its average or maximum (batch, channels).
        classes: Number of classes.
        classifier_activation: Activation of ``predictions`` and of the auxiliary heads; None means that they return the
            logits.
        name: The model's name; None means the network's name in `list_models`.
        kernel_regularizer: The regularizer of every convolution and dense layer: any value that
            `keras.regularizers.get` accepts.
        dtype: A Keras dtype policy or its name, such as ``"mixed_bfloat16"``; None means the global policy. Under a
            half-precision policy, ``predictions`` and the auxiliary heads are computed in float32.
    """

    include_top: bool = True
    weights: str | Path | None = None
    input_tensor: Tensor | None = None
    input_shape: tuple[int | None, ...] | None = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: Activation = "softmax"
    name: str | None = None
    _: KW_ONLY
    kernel_regularizer: Regularizer = None
    dtype: Dtype = None


# The documentation of arguments that several families have, and of what all factories return and raise.
_OFTEN = """\
    aux_heads: Whether auxiliary classifiers are built: AUX_HEADS.
        They need an input of at least LEAST_SIZE pixels in height and width. The model then returns a dictionary with
        the outputs of ``predictions`` and of the auxiliary heads, by these names.
    dropout: Fraction of the features that is dropped before ``predictions`` during training; 0 leaves the layer out.
"""
_RESULT = """\
Returns:
    A functional Keras model. Its input is a float tensor (batch, height, width, channels), which must be preprocessed
    with `googlenet_keras.preprocess_input`.

Raises:
    ValueError: If an argument has an invalid value, if the size of the input is unknown although the network depends on
        it, if the input is too small for the network (see `ModelRecord.minimum_size`) or its auxiliary heads, or if the
        weights do not fit.
    TypeError: If there is no argument of that name, or there are too many positional arguments.
"""


def factory(
    *records: ModelRecord, **defaults: object
) -> Callable[[Callable[..., keras.Model]], Callable[..., keras.Model]]:
    """Turns a function into a factory like those of keras.applications, and registers its networks by their names.

    Args:
        *records: The networks that the factory builds. Its docstring states the input and the auxiliary heads of the
            first one.
        **defaults: The defaults of those shared arguments that differ from the defaults of `Arguments`.

    Returns:
        A decorator for a function that takes `Arguments` and, by name, the family's own arguments. The signature of the
        factory has all of these arguments, and its docstring documents them all; the function's own docstring documents
        the family's own arguments only.
    """

    def decorate(function: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
        own = list(inspect.signature(function).parameters.values())[1:]
        shared = [
            parameter.replace(default=defaults.get(parameter.name, parameter.default))
            for parameter in inspect.signature(Arguments).parameters.values()
        ]
        last = [parameter for parameter in shared if parameter.kind is inspect.Parameter.KEYWORD_ONLY]
        signature = inspect.Signature([*shared[: -len(last)], *own, *last], return_annotation=keras.Model)

        @functools.wraps(function)
        def build_model(*args: Any, **kwargs: Any) -> keras.Model:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            bound.apply_defaults()
            given = bound.arguments
            return function(Arguments(**{one.name: given.pop(one.name) for one in shared}), **given)

        build_model.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it, but no type declares it
        # With -OO, Python removes docstrings.
        build_model.__doc__ = function.__doc__ and _docstring(function.__doc__, records[0], signature)
        for record in records:
            register(replace(record, factory=build_model))
        return build_model

    return decorate


def _docstring(text: str, record: ModelRecord, signature: inspect.Signature) -> str:
    """Returns the docstring of a family, with an entry for every argument of the signature."""
    about, _, own = inspect.cleandoc(text).partition("\n\nArgs:\n")
    entries: dict[str, str] = {}
    for section in (inspect.cleandoc(Arguments.__doc__ or ""), _OFTEN, own):
        entries |= re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    arguments = "\n".join(f"    {name}: {entries[name]}" for name in signature.parameters)
    for word, value in (
        ("OWN_SHAPE", record.default_shape),
        ("AUX_HEADS", ", ".join(f"``{head}`` (on {endpoint})" for head, endpoint in record.aux_head_on.items())),
        ("LEAST_SIZE", record.minimum_size_of_aux_heads),
    ):
        arguments = arguments.replace(word, str(value))
    return f"{about}\n\nArgs:\n{arguments}\n\n{_RESULT}"
