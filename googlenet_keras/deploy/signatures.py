"""The signatures of a classifier's SavedModel."""

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


# The verification runs three images at once: at this size conv1's output takes 0.8 GB.
LARGEST_SIDE = 2048


def check_servable(shape: Sequence[int] | None) -> None:
    """Refuses a network that takes no images as files have them.

    Args:
        shape: (height, width, channels) of its input, in pixels; None is not known yet.

    Raises:
        ValueError: If there are not 1 or 3 channels, or a side is longer than `LARGEST_SIDE`.
    """
    if shape is None:
        return
    height, width, channels = shape
    if channels not in (1, 3):
        raise ValueError(f"An image to be served has 1 or 3 channels. Received: {channels}")
    if max(height, width) > LARGEST_SIDE:
        raise ValueError(f"An image to be served is at most {LARGEST_SIDE} pixels a side. Received: {height}x{width}")


def signatures(served: keras.Model, preprocessing: Preprocessing) -> dict[str, Signature]:
    """The signatures of a SavedModel.

    Args:
        served: The model that `serving_model` returns, of fixed input size and 1 or 3 channels.
        preprocessing: The preprocessing that the network expects.

    Returns:
        ``serving_default`` (preprocessed float32 images), ``serve_images`` (uint8 pixels of any size), ``serve_bytes``
        (encoded image files) and ``features`` (preprocessed float32 images), by name.
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
    """Writes a SavedModel that needs no Keras to be used.

    Args:
        served: The model that `serving_model` returns.
        folder: A folder that does not exist yet, or is empty.
        preprocessing: The preprocessing that the network expects.
        assets: Files that travel along, each as ``assets/NAME``.

    Raises:
        OSError: If it cannot be written.
    """
    module = tf.Module()
    # What tf.Module finds, it saves: the weights under names that outlive Keras, and the files.
    module.weights = {weight.path: weight.value for weight in served.weights}
    module.files = [tf.saved_model.Asset(str(file)) for file in assets]
    graphs = {name: signature.graph() for name, signature in signatures(served, preprocessing).items()}
    try:
        with quiet_logger("tensorflow"):  # it would tell of a folder that is renamed afterwards
            tf.saved_model.save(module, str(folder), signatures=graphs)
    except tf.errors.OpError as error:
        # "{{node}} /a/path; No space left on device [Op:SaveV2]"
        reason = error.message.rpartition("; ")[2].partition(" [Op")[0]
        raise OSError(errno.EIO, reason, str(folder)) from None
