"""What a SavedModel of a classifier answers, signature by signature."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras.models import Preprocessing


@dataclass(frozen=True)
class Signature:
    """One way to ask a SavedModel.

    Attributes:
        function: From one tensor to named tensors.
        input: Name, shape and dtype of that tensor.
    """

    function: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    input: tf.TensorSpec

    def graph(self) -> Callable[..., dict[str, tf.Tensor]]:
        """The function as a graph that is traced once, called with the input by its name."""
        return tf.function(self.function, input_signature=[self.input], autograph=False)


def serving_model(model: keras.Model) -> keras.Model:
    """The model as it is served: named outputs in float32, classes as probabilities.

    Args:
        model: A classifier of this package, with or without auxiliary heads.

    Returns:
        A model of the same layers that answers ``probabilities`` (batch, classes), ``features`` (batch, features: what
        the classifier sees) and the auxiliary heads it has, by their names.

    Raises:
        ValueError: If the model has no layer ``predictions``.
    """
    heads = model.output if isinstance(model.output, dict) else {"predictions": model.output}
    if "predictions" not in {layer.name for layer in model.layers}:
        raise ValueError(f"Only a model with its top can be served. Received: {model.name!r}")
    outputs = {}
    for name in heads:
        layer = model.get_layer(name)
        answer = layer.output
        if layer.activation is keras.activations.linear:
            answer = keras.layers.Softmax(dtype=layer.dtype_policy, name=f"{name}_softmax")(answer)
        outputs["probabilities" if name == "predictions" else name] = answer
    outputs["features"] = keras.layers.Activation("linear", dtype="float32", name="features")(
        model.get_layer("predictions").input
    )
    return keras.Model(model.input, outputs, name=model.name)


def fit_image(images: tf.Tensor, size: tuple[int, int], crop_fraction: float) -> tf.Tensor:
    """Crops images centrally to the network's aspect ratio and resizes them to its input.

    Args:
        images: Pixels (batch, height, width, channels) of any number type.
        size: Height and width of the network's input, in pixels.
        crop_fraction: Part of the largest such crop that is kept.

    Returns:
        float32 pixels (batch, *size, channels): bilinear, antialiased where the image shrinks.
    """
    extent = tf.cast(tf.shape(images)[1:3], tf.float32)
    scale = crop_fraction * tf.reduce_min(extent / tf.constant(size, tf.float32))
    crop = tf.cast(tf.maximum(tf.round(scale * tf.constant(size, tf.float32)), 1), tf.int32)
    top, left = tf.unstack((tf.shape(images)[1:3] - crop) // 2)
    images = images[:, top : top + crop[0], left : left + crop[1], :]
    return tf.image.resize(images, size, method="bilinear", antialias=True)


def decode_image(encoded: tf.Tensor, channels: int) -> tf.Tensor:
    """Decodes one JPEG or PNG file: a scalar string to uint8 (height, width, channels)."""
    # Always by way of RGB: the decoders cannot turn every kind of file (CMYK, palettes) into grey.
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.image.rgb_to_grayscale(image) if channels == 1 else image


def signatures(served: keras.Model, preprocessing: Preprocessing) -> dict[str, Signature]:
    """The signatures of a SavedModel.

    Args:
        served: What `serving_model` returns, of fixed input size and 1 or 3 channels.
        preprocessing: What the network expects of an image.

    Returns:
        ``serving_default`` (preprocessed float32 images), ``serve_images`` (uint8 pixels of any size), ``serve_bytes``
        (encoded JPEG or PNG) and ``features`` (preprocessed float32 images), by name.
    """
    height, width, channels = served.input.shape[1:]
    preprocessed = tf.TensorSpec((None, height, width, channels), tf.float32, "images")

    # A graph of its own, which all signatures call: the network is traced and saved once.
    @partial(tf.function, input_signature=[preprocessed], autograph=False)
    def answer(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(served(images, training=False))

    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = answer(images)
        del outputs["features"]
        return outputs

    def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"features": answer(images)["features"]}

    def fit(images: tf.Tensor) -> tf.Tensor:
        return fit_image(images, (height, width), preprocessing.crop_fraction)

    def serve_images(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return serving_default(preprocessing(fit(images)))

    def serve_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(
            lambda one: fit(decode_image(one, channels)[tf.newaxis])[0],
            encoded,
            fn_output_signature=tf.TensorSpec((height, width, channels), tf.float32),
        )
        return serving_default(preprocessing(pixels))

    return {
        "serving_default": Signature(serving_default, preprocessed),
        "serve_images": Signature(serve_images, tf.TensorSpec((None, None, None, channels), tf.uint8, "images")),
        "serve_bytes": Signature(serve_bytes, tf.TensorSpec((None,), tf.string, "encoded")),
        "features": Signature(features, preprocessed),
    }


def write_saved_model(
    served: keras.Model, folder: str | Path, *, preprocessing: Preprocessing, labels_file: str | Path
) -> None:
    """Writes a SavedModel that needs no Keras to be used.

    Args:
        served: What `serving_model` returns.
        folder: A folder that does not exist yet, or is empty.
        preprocessing: What the network expects of an image.
        labels_file: A text file of one class name per line; it travels along as ``assets/NAME``.

    Raises:
        OSError: If it cannot be written.
    """
    module = tf.Module()
    # What tf.Module finds, it saves: the weights under names that outlive Keras, and the file.
    module.weights = {weight.path: weight.value for weight in served.weights}
    module.labels = tf.saved_model.Asset(str(labels_file))
    graphs = {name: signature.graph() for name, signature in signatures(served, preprocessing).items()}
    try:
        tf.saved_model.save(module, str(folder), signatures=graphs)
    except tf.errors.OpError as error:
        # "{{node}} /a/path; No space left on device [Op:SaveV2]"
        reason = error.message.rpartition("; ")[2].partition(" [Op")[0]
        raise OSError(errno.EIO, reason, str(folder)) from None
