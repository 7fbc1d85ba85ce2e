"""Holds what all factories share: the arguments of keras.applications, written and explained once."""

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
    """The arguments of every factory; its own arguments stand before the last two of these.

    Attributes:
        include_top: Whether the network ends in its top, whose last layer is the classifier ``predictions``.
        weights: None for random initialization, the path of a weight file (see `load_weights`), or the name of weights
            that are published for the network (see `list_weights`), such as ``"imagenet"``; they are downloaded once.
            ``create_model(NAME, weights=...)`` fills in what they were trained at, if the file has a card.
        input_tensor: A Keras tensor (batch, height, width, channels) to build upon, or None for an input of its own.
        input_shape: (height, width, channels) in pixels; None is any height and width without the top, and with it the
            network's own: OWN_SHAPE.
        pooling: Without the top: None answers the last map (batch, height, width, channels), ``"avg"`` and ``"max"``
            its pooling (batch, channels).
        classes: Number of classes.
        classifier_activation: Activation of ``predictions`` and of auxiliary heads; None leaves the logits.
        name: The model's name; None is the network's own, as `list_models` has it.
        kernel_regularizer: The regularizer of every convolution and dense layer, as `keras.regularizers.get` takes it.
        dtype: Keras dtype policy or its name, such as ``"mixed_bfloat16"``; None is the global policy. What answers
            does so in float32 under a half-precision policy.
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


# What several families take, and what all of them answer.
_OFTEN = """\
    aux_heads: Whether auxiliary classifiers are built: AUX_HEADS.
        They need LEAST_SIZE pixels of height and width. The model then answers a dictionary of their answers and of
        ``predictions``, by these names.
    dropout: Fraction dropped before ``predictions`` while training; 0 leaves it out.
"""
_RESULT = """\
Returns:
    A functional Keras model. Its input is a float tensor (batch, height, width, channels), preprocessed as
    `googlenet_keras.preprocess_input` does.

Raises:
    ValueError: If an argument is none of the above, the input is of unknown size where the network needs to know it
        or too small for the network (see `ModelRecord.minimum_size`) or its auxiliary heads, or the weights do not
        fit.
    TypeError: If there is no argument of that name.
"""


def factory(
    *records: ModelRecord, **defaults: object
) -> Callable[[Callable[..., keras.Model]], Callable[..., keras.Model]]:
    """Makes a factory in the manner of keras.applications, and makes its networks known by their names.

    Args:
        *records: The networks that it builds; the docstring tells input and auxiliary heads of the first.
        **defaults: The defaults of shared arguments that are other than those of `Arguments`.

    Returns:
        A decorator of a function that takes `Arguments` and, by name, arguments of the family's own. The factory's
        signature has all of them, and its docstring explains them: with the function's docstring, of the latter alone.
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

        build_model.__signature__ = signature  # type: ignore[attr-defined]  # inspect looks for it, no type has it
        # Python strips docstrings with -OO.
        build_model.__doc__ = function.__doc__ and _docstring(function.__doc__, records[0], signature)
        for record in records:
            register(replace(record, factory=build_model))
        return build_model

    return decorate


def _docstring(text: str, record: ModelRecord, signature: inspect.Signature) -> str:
    """A family's docstring, with an entry for every argument of the signature."""
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
