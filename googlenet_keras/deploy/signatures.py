"""Defines the signatures of a classifier's SavedModel, and writes it."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras.images import Preprocessing, decode_image, fit_images
from googlenet_keras.silence import quiet_logger


@dataclass(frozen=True)
class Signature:
    """A signature of a SavedModel.

    Attributes:
        function: The function that computes named tensors from one tensor.
        input: The name, shape and dtype of that tensor.
    """

    function: Callable[[tf.Tensor], dict[str, tf.Tensor]]
    input: tf.TensorSpec

    def graph(self) -> Callable[..., dict[str, tf.Tensor]]:
        """Returns the function as a graph that is traced once and takes the input by its name."""
        return tf.function(self.function, input_signature=[self.input], autograph=False)


# In pixels. The verification runs three images at once, and the output of conv1 takes 0.8 GB at this size.
LARGEST_SIDE = 2048


def check_servable(shape: Sequence[int] | None) -> None:
    """Raises an error if image files cannot be served with a network of this input shape.

    Args:
        shape: (height, width, channels) of the network's input, in pixels; None if it is not known yet.

    Raises:
        ValueError: If the number of channels is neither 1 nor 3, or a side is longer than `LARGEST_SIDE`.
    """
    if shape is None:
        return
    height, width, channels = shape
    if channels not in (1, 3):
        raise ValueError(f"A network can be served only if its input has 1 or 3 channels. Received: {channels}")
    if max(height, width) > LARGEST_SIDE:
        raise ValueError(
            f"A network can be served only if its input has at most {LARGEST_SIDE} pixels per side. "
            f"Received: {height}x{width}"
        )


def signatures(served: keras.Model, preprocessing: Preprocessing) -> dict[str, Signature]:
    """Returns the signatures of a SavedModel.

    Args:
        served: The model that `serving_model` returns, with a fixed input size and 1 or 3 channels.
        preprocessing: The preprocessing that the network expects.

    Returns:
        A dictionary of ``serving_default``, which takes preprocessed float32 images, ``serve_images`` (uint8 pixels of
        any size), ``serve_bytes`` (encoded image files) and ``features`` (preprocessed float32 images).
    """
    height, width, channels = served.input.shape[1:]
    preprocessed = tf.TensorSpec((None, height, width, channels), tf.float32, "images")

    # All signatures call this one graph, so that the network is traced and saved only once.
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
        return fit_images(images, (height, width), preprocessing.crop_fraction)

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
    served: keras.Model, folder: str | Path, *, preprocessing: Preprocessing, assets: Sequence[Path] = ()
) -> None:
    """Writes a SavedModel that can be used without Keras.

    Args:
        served: The model that `serving_model` returns.
        folder: A folder that does not exist yet or is empty.
        preprocessing: The preprocessing that the network expects.
        assets: Files to include in the SavedModel, each as ``assets/NAME``.

    Raises:
        OSError: If the SavedModel cannot be written.
    """
    module = tf.Module()
    # A tf.Module is saved with all its attributes: the weights, under names that do not depend on Keras, and the files.
    module.weights = {weight.path: weight.value for weight in served.weights}
    module.files = [tf.saved_model.Asset(str(file)) for file in assets]
    graphs = {name: signature.graph() for name, signature in signatures(served, preprocessing).items()}
    try:
        with quiet_logger("tensorflow"):  # it would report a folder that is renamed afterwards
            tf.saved_model.save(module, str(folder), signatures=graphs)
    except tf.errors.OpError as error:
        # "{{node}} /a/path; No space left on device [Op:SaveV2]"
        reason = error.message.rpartition("; ")[2].partition(" [Op")[0]
        raise OSError(errno.EIO, reason, str(folder)) from None
