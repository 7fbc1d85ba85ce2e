"""Models made of another model's layers, sharing its weights."""

import difflib
from collections.abc import Sequence

import keras


def inference_model(model: keras.Model) -> keras.Model:
    """The model without its auxiliary heads, as it is used once trained.

    Args:
        model: A model of this package with its top.

    Returns:
        A model from the same input to ``predictions`` alone, of the same layers and weights.

    Raises:
        ValueError: If the model has no layer ``predictions``.
    """
    names = [layer.name for layer in model.layers]
    if "predictions" not in names:
        raise ValueError(
            "Only a model with its top can be used for inference: build it with include_top=True. "
            f"Received: {model.name!r}, which ends in {names[-1]!r}"
        )
    return keras.Model(model.input, model.get_layer("predictions").output, name=model.name)


def serving_model(model: keras.Model) -> keras.Model:
    """The model as it is served: named outputs in float32, classes as probabilities.

    Args:
        model: A classifier of this package, with or without auxiliary heads, or one that is built on its networks.

    Returns:
        A model of the same layers that answers ``probabilities`` (batch, classes), ``features`` (batch, features: what
        the classifier sees) and the auxiliary heads it has, by their names.

    Raises:
        ValueError: If the model is no classifier.
    """
    heads = model.output if isinstance(model.output, dict) else {"predictions": model.output}
    if any(len(answer.shape) != 2 for answer in heads.values()):
        raise ValueError(
            f"Only a classifier, which answers (batch, classes), can be served. Received: {model.name!r}, which "
            f"answers {model.output_shape}"
        )
    producers = {id(layer.output): layer for layer in model.layers}
    outputs = {}
    for name, answer in heads.items():
        layer = producers[id(answer)]
        # A network of the user's own may end in a layer without an activation, such as Softmax.
        is_logits = getattr(layer, "activation", None) is keras.activations.linear
        softmax = keras.layers.Softmax(dtype=layer.dtype_policy, name=f"{name}_softmax")
        outputs["probabilities" if name == "predictions" else name] = softmax(answer) if is_logits else answer
    outputs["features"] = keras.layers.Activation("linear", dtype="float32", name="features")(
        producers[id(heads["predictions"])].input
    )
    return keras.Model(model.input, outputs, name=model.name)


def feature_extractor(model: keras.Model, endpoints: Sequence[str]) -> keras.Model:
    """A model that returns the outputs of intermediate layers, for detection, style transfer or visualization.

    Args:
        model: A functional Keras model.
        endpoints: Names of layers, such as ``["inception_3b", "inception_4e", "inception_5b"]``; those that end the
            stages of a network, and their shapes, are its `ModelRecord.endpoint_shapes`.

    Returns:
        A model from the same input to ``{endpoint: tensor}``, of the same layers and weights.

    Raises:
        ValueError: If no endpoint is named, or one is not a layer of the model; the message names those that are near.
    """
    layers = {layer.name: layer for layer in model.layers}
    if isinstance(endpoints, str) or not endpoints:
        raise ValueError(f"`endpoints` must be a list of one or more layer names. Received: {endpoints!r}")
    for endpoint in endpoints:
        if endpoint not in layers:
            near = difflib.get_close_matches(str(endpoint), layers, n=3)
            raise ValueError(
                f"{model.name!r} has no layer of that name; "
                f"{'did you mean ' + ' or '.join(near) if near else 'see model.layers'}? Received: {endpoint!r}"
            )
    return keras.Model(model.input, {name: layers[name].output for name in endpoints}, name=f"{model.name}_features")
