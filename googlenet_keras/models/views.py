"""Builds models from the layers of another model; both models share the weights."""

import difflib
from collections.abc import Sequence

import keras


def inference_model(model: keras.Model) -> keras.Model:
    """Returns the model without its auxiliary heads, which are only needed for training.

    Args:
        model: A model of this package with its top.

    Returns:
        A model from the same input to ``predictions`` only, with the same layers and weights.

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
    """Returns the model in the form in which it is served: named float32 outputs, with probabilities of the classes.

    Args:
        model: A classifier of this package, with or without auxiliary heads, or a classifier that is built on one of
            its networks.

    Returns:
        A model of the same layers. It returns a dictionary with ``probabilities`` (batch, classes), ``features``
        (batch, features), which is the input of the layer that outputs the predictions, and the outputs of any
        auxiliary heads, by their names.

    Raises:
        ValueError: If the model is not a classifier.
    """
    heads = model.output if isinstance(model.output, dict) else {"predictions": model.output}
    if any(len(answer.shape) != 2 for answer in heads.values()):
        raise ValueError(
            "Only a classifier, whose outputs have shape (batch, classes), can be served. "
            f"Received: {model.name!r} with output shape {model.output_shape}"
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
    """Returns a model that outputs the values of intermediate layers, for detection, style transfer or visualization.

    Args:
        model: A functional Keras model.
        endpoints: Names of layers, such as ``["inception_3b", "inception_4e", "inception_5b"]``.
            `ModelRecord.endpoint_shapes` lists the layers that end the stages of a network, with their shapes.

    Returns:
        A model from the same input to ``{endpoint: tensor}``, with the same layers and weights.

    Raises:
        ValueError: If no endpoint is given, or if an endpoint is not a layer of the model; the message lists layers
            with similar names.
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
