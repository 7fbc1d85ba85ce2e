"""Represents a network that is to be explained, with its layers, logits, classes and preprocessing."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.deploy.classifier import Prediction, decode_predictions
from googlenet_keras.describe.graph import calls
from googlenet_keras.evaluation.scores import check_finite
from googlenet_keras.images import decode_image, fit_images, refusal
from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.keras_types import Tensor
from googlenet_keras.models.trained import find_network, read_labels


class Subject:
    """A classifier that is to be explained; `build` makes one from a weight file.

    Args:
        model: A classifier of this package, or one that is built on its networks. Its auxiliary heads are ignored, and
            networks inside it are replaced by their layers.
        preprocessing: The conversion of pixels in [0, 255] to the input of the model.
        labels: The names of the classes.

    Attributes:
        model: The model from the preprocessed image to the logits, without other models inside it.
        preprocessing: See above.
        labels: See above.
        size: The height and width of the input, in pixels.
        channels: The number of channels of the input, 1 or 3.

    Raises:
        ValueError: If the model is not an image classifier, if its input does not have a fixed size and 1 or 3
            channels, or if there are not as many labels as classes.
    """

    def __init__(self, model: keras.Model, preprocessing: Preprocessing, labels: Sequence[str]) -> None:
        self.model = _with_logits(model)
        height, width, channels = self.model.input.shape[1:]
        if height is None or width is None or channels not in (1, 3):
            raise ValueError(
                "Only a network for grey or RGB images of a fixed size can be explained: build it with such an "
                f"input_shape. Received: {(height, width, channels)}"
            )
        classes = self.model.output.shape[-1]
        if len(labels) != classes:
            raise ValueError(f"There must be a label for each of the {classes} classes. Received: {len(labels)} labels")
        self.preprocessing = preprocessing
        self.labels = tuple(labels)
        self.size: tuple[int, int] = (height, width)
        self.channels: int = channels

    @classmethod
    def build(
        cls,
        name: str | None = None,
        weights: str | Path | None = None,
        *,
        classes: int | None = None,
        input_shape: Sequence[int] | None = None,
        labels: str | Path | None = None,
    ) -> "Subject":
        """Builds the network of a weight file and returns it as a subject.

        Args:
            name: One of `list_models`; None takes it from the weight file.
            weights: A weight file, or the name of published weights.
            classes: The number of classes; None takes it from the weight file, or else from the network.
            input_shape: (height, width, channels) in pixels; None takes it from the weight file, or else from the
                network.
            labels: A file with the names of the classes, one per line; None takes them from the weight file.

        Raises:
            ValueError: If an argument is not valid for the network, or contradicts the weight file.
            OSError: If the file of the labels cannot be read.
        """
        names = None if labels is None else read_labels(labels)
        network = find_network(name, weights, classes=classes, input_shape=input_shape, labels=names)
        model = network.build()
        return cls(model, network.preprocessing, network.labels_of(model))

    def read(self, image: str | Path | bytes) -> np.ndarray:
        """Reads an image, and crops and resizes it to the network's input, without the preprocessing.

        Args:
            image: An image file, or its bytes.

        Returns:
            float32 pixels (height, width, channels) in [0, 255].

        Raises:
            ValueError: If `image` is not an image that can be decoded, or is too large.
            OSError: If the file cannot be read.
        """
        encoded = image if isinstance(image, bytes) else Path(image).read_bytes()
        try:
            pixels = decode_image(tf.constant(encoded), self.channels)
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(refusal(error)) from None
        return fit_images(pixels[tf.newaxis], self.size, self.preprocessing.crop_fraction)[0].numpy()

    def classify(self, image: np.ndarray, *, top: int = 5) -> list[Prediction]:
        """Predicts the most probable classes of an image, the most probable first.

        Args:
            image: Pixels (height, width, channels) in [0, 255].
            top: The number of classes to list.

        Raises:
            ValueError: If the image does not have the network's shape.
            RuntimeError: If a probability is NaN or infinite.
        """
        logits = self.model(self.preprocessing(self.batch(image)), training=False)
        probabilities = tf.nn.softmax(tf.cast(logits, tf.float32)).numpy()
        check_finite(probabilities)
        return decode_predictions(probabilities, top, self.labels)[0]

    def batch(self, image: np.ndarray) -> tf.Tensor:
        """Returns an image as a batch of one.

        Args:
            image: Pixels (height, width, channels) in [0, 255].

        Returns:
            A float32 tensor (1, height, width, channels).

        Raises:
            ValueError: If the image does not have the network's shape.
        """
        wanted = (*self.size, self.channels)
        if np.shape(image) != wanted:
            raise ValueError(f"The image must have the network's shape {wanted}. Received: {np.shape(image)}")
        return tf.cast(image, tf.float32)[tf.newaxis]

    def maps(self, layer: str) -> keras.layers.Layer:
        """Returns the layer with a name, whose output must be feature maps.

        Args:
            layer: The name of the layer, such as ``inception_4c``.

        Raises:
            ValueError: If there is no such layer, or it has no feature maps; the message suggests a similar name.
        """
        layers = {one.name: one for one in self.model.layers if _has_maps(one)}
        if layer not in layers:
            raise ValueError(f"The network has no feature maps of that name{suggestion(layer, layers)}")
        return layers[layer]

    def last_maps(self) -> str:
        """Returns the name of the last layer with feature maps larger than one pixel, which the classifier looks at.

        Raises:
            ValueError: If the network has no feature maps larger than one pixel.
        """
        names = [one.name for one in self.model.layers if _has_maps(one) and max(one.output.shape[1:3]) > 1]
        if not names:
            raise ValueError(
                f"All feature maps have only one pixel: build the network for a larger input. Received: {self.size}"
            )
        return names[-1]

    def class_index(self, name: str | int) -> int:
        """Returns the number of a class.

        Args:
            name: The label of the class, in upper or lower case, or its number from 0.

        Raises:
            ValueError: If there is no such class; the message suggests a similar name.
        """
        if name in self.labels:
            return self.labels.index(str(name))
        if isinstance(name, int) or name.isdecimal():
            if int(name) < len(self.labels):
                return int(name)
            raise ValueError(f"The classes are numbered from 0 to {len(self.labels) - 1}. Received: {name}")
        folded = [label.casefold() for label in self.labels]
        if name.casefold() in folded:
            return folded.index(name.casefold())
        raise ValueError(f"The network has no class of that name{suggestion(name, self.labels)}")


def suggestion(received: str, known: Sequence[str] | dict[str, object]) -> str:
    """Returns the end of an error message: which known name may have been meant, and what was received."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(received.casefold(), folded, n=1)
    return f"; did you mean {folded[near[0]]}? Received: {received!r}" if near else f". Received: {received!r}"


def _has_maps(layer: keras.layers.Layer) -> bool:
    is_input = isinstance(layer, keras.layers.InputLayer)
    return not is_input and hasattr(layer.output, "shape") and len(layer.output.shape) == 4


def _with_logits(model: keras.Model) -> keras.Model:
    """Returns the model up to the logits of its main output, because gradients of a probability near one vanish."""
    answer = model.output["predictions"] if isinstance(model.output, dict) else model.output
    if not hasattr(answer, "shape") or len(answer.shape) != 2 or len(model.inputs) != 1 or len(model.input.shape) != 4:
        raise ValueError(f"Only an image classifier can be explained. Received: {model.name!r}")
    if any(isinstance(layer, keras.Model) for layer in model.layers):
        inputs = keras.Input(model.input.shape[1:], dtype=model.input.dtype, name="input")
        outputs = _expand(keras.Model(model.input, answer), inputs, {})
        model, answer = keras.Model(inputs, outputs, name=model.name), outputs
    last = next(layer for layer in model.layers if layer.output is answer)
    if isinstance(last, keras.layers.Softmax):
        answer = last.input
    elif getattr(last, "activation", keras.activations.linear) is not keras.activations.linear:
        linear = last.__class__.from_config({**last.get_config(), "activation": "linear"})
        answer = linear(last.input)
        linear.set_weights(last.get_weights())
    return keras.Model(model.input, answer, name=model.name)


def _expand(model: keras.Model, inputs: Tensor, copies: dict[int, keras.layers.Layer]) -> Tensor:
    """Calls copies of a model's layers, and of the layers of the networks inside it, on a tensor."""
    found, answers = calls(model)
    tensors: list[Tensor] = []
    for call in found:
        layer, given = call.layer, [tensors[parent] for parent in call.parents]
        arguments = given[0] if len(given) == 1 else given
        if isinstance(layer, keras.layers.InputLayer):
            tensors.append(inputs)
        elif isinstance(layer, keras.Model):
            tensors.append(_expand(layer, arguments, copies))
        elif isinstance(layer, keras.layers.Layer):
            known = id(layer) in copies
            if not known:
                copies[id(layer)] = layer.__class__.from_config(layer.get_config())
            tensors.append(copies[id(layer)](arguments))
            if not known:
                copies[id(layer)].set_weights(layer.get_weights())
        else:
            tensors.append(layer(*given))
    return tensors[answers[0]]
