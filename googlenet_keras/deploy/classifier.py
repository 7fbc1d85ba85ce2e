"""Classifies images with an exported network or a weight file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.deploy.runtimes import EXTRAS, open_artifact, read_artifact_card
from googlenet_keras.deploy.signatures import check_servable, signatures
from googlenet_keras.evaluation.scores import check_finite
from googlenet_keras.images import decode_image, fit_images, refusal
from googlenet_keras.models import model_record, serving_model
from googlenet_keras.models.trained import class_names, find_network, read_labels
from googlenet_keras.weights.cards import Card
from googlenet_keras.weights.readers import SUFFIXES

IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Prediction:
    """A class that an image may belong to.

    Attributes:
        label: The name of the class.
        index: The index of the class, from 0.
        probability: The probability of the class, between 0 and 1.
    """

    label: str
    index: int
    probability: float


def decode_predictions(
    probabilities: np.ndarray, top: int = 5, labels: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Returns the most likely classes of each image, best first.

    Args:
        probabilities: The probabilities of each image and class, of shape (batch, classes).
        top: The number of classes to list.
        labels: The names of the classes, such as those of a `Card`; None means the names of ImageNet's 1000 classes, or
            of 1001 classes, of which the first is TF-slim's background class.

    Raises:
        ValueError: If ``probabilities`` does not have two dimensions, or there is not one label for each class.
    """
    answers = np.asarray(probabilities)
    if answers.ndim != 2:
        raise ValueError(f"Probabilities must have the shape (batch, classes). Received: {answers.shape}")
    classes = answers.shape[1]
    if labels is None:
        imagenet = class_names(model_record("googlenet"), IMAGENET_CLASSES)
        labels = ("background", *imagenet)[-classes:] if classes in (IMAGENET_CLASSES, IMAGENET_CLASSES + 1) else ()
    if len(labels) != classes:
        raise ValueError(f"There must be a label for each class. Received: {classes} classes, {len(labels)} labels")
    best = np.argsort(-answers, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(labels[i], int(i), float(answer[i])) for i in indices]
        for answer, indices in zip(answers, best, strict=True)
    ]


class Classifier:
    """Classifies images; `load` and `build` create one.

    Args:
        serve_bytes: The signature of that name, which takes the image files ``encoded`` of shape (batch,) and returns
            their ``probabilities``.
        labels: The names of the classes, in the order of the probabilities.

    Attributes:
        labels: The names of the classes, in the order of the probabilities.
    """

    def __init__(self, serve_bytes: Callable[..., dict[str, tf.Tensor]], labels: Sequence[str]) -> None:
        self._serve_bytes = serve_bytes
        self.labels = tuple(labels)

    @classmethod
    def load(cls, path: str | Path) -> "Classifier":
        """Loads an artifact of `export_model`, or a weight file that has a card.

        Args:
            path: The SavedModel's folder, an ``.onnx``, ``.tflite`` or ``.xml`` file, a ``.weights.h5`` file
                with a card, or a ``.keras`` file.

        Raises:
            ValueError: If the path is none of these, the SavedModel does not have the signature ``serve_bytes`` and
                labels, the file has no card, or its runtime is not installed.
        """
        if str(path).endswith(SUFFIXES):
            return cls.build(weights=path)
        if Path(path).suffix in EXTRAS:
            return cls._of_file(Path(path))
        folder = Path(path)
        labels_file = folder / "assets" / "labels.txt"
        if not (folder / "saved_model.pb").is_file() or not labels_file.is_file():
            raise ValueError(
                "The folder holds no SavedModel of this package; make one with python -m googlenet_keras.export. "
                f"Received: {str(folder)!r}"
            )
        try:
            loaded = tf.saved_model.load(str(folder))
            loaded.signatures["serve_bytes"]
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise ValueError(f"The SavedModel is damaged ({error}). Received: {str(folder)!r}") from None

        def serve_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            # The loaded object owns the variables of its signatures, so it must live as long as they do.
            return loaded.signatures["serve_bytes"](encoded=encoded)

        return cls(serve_bytes, read_labels(labels_file))

    @classmethod
    def _of_file(cls, path: Path) -> "Classifier":
        """Creates a classifier from a file of a runtime other than TensorFlow; TensorFlow decodes the images."""
        answer = open_artifact(path)
        card = Card.from_dict(read_artifact_card(path))
        height, width, channels = card.input_shape

        def prepare(encoded: tf.Tensor) -> tf.Tensor:
            image = decode_image(encoded, channels)[tf.newaxis]
            return card.preprocessing(fit_images(image, (height, width), card.preprocessing.crop_fraction))

        graph = tf.function(prepare, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)

        def serve_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            images = np.concatenate([graph(one).numpy() for one in encoded])
            return {name: tf.constant(value) for name, value in answer(images).items()}

        return cls(serve_bytes, card.labels)

    @classmethod
    def build(
        cls,
        name: str | None = None,
        weights: str | Path | None = None,
        *,
        classes: int | None = None,
        input_shape: tuple[int, int, int] | None = None,
        labels: str | Path | None = None,
    ) -> "Classifier":
        """Builds the classifier that `export_model` would write for the same arguments.

        Args:
            name: See `export_model`.
            weights: A weight file, or the name of published weights; see `export_model`.
            classes: See `export_model`.
            input_shape: See `export_model`.
            labels: See `export_model`.

        Raises:
            ValueError: If the arguments do not describe a model, or contradict the card in the weight file.
            OSError: If the labels cannot be read.
        """
        network = find_network(
            name,
            weights,
            classes=classes,
            input_shape=input_shape,
            labels=None if labels is None else read_labels(labels),
        )
        model = network.build()
        check_servable(model.input.shape[1:])
        serve_bytes = signatures(serving_model(model), network.preprocessing)["serve_bytes"].graph()
        return cls(serve_bytes, network.labels_of(model))

    def classify(self, encoded: bytes, *, top: int = 5) -> list[Prediction]:
        """Returns the most likely classes of an image, best first.

        Args:
            encoded: The bytes of an image file.
            top: The number of classes to list.

        Raises:
            ValueError: If the bytes are not an image, or the image is too large.
            RuntimeError: If a probability is NaN or infinite.
        """
        try:
            answer = self._serve_bytes(encoded=tf.constant([encoded]))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(refusal(error)) from None
        probabilities = answer["probabilities"].numpy()
        check_finite(probabilities)
        return decode_predictions(probabilities, top, self.labels)[0]
