"""A trained network, asked about images: a SavedModel of this package, or built of its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from googlenet_keras.models import model_record
from googlenet_keras.saved_model.networks import build_network, class_names
from googlenet_keras.saved_model.signatures import serving_model, signatures


@dataclass(frozen=True)
class Prediction:
    """One class that an image may be of.

    Attributes:
        label: The class's name.
        index: Its place among the classes, from 0.
        probability: Between 0 and 1.
    """

    label: str
    index: int
    probability: float


class Classifier:
    """Names what is on an image; `load` and `build` make one.

    Args:
        serve_bytes: The signature of that name: from ``encoded``, files (batch,), to ``probabilities``.
        labels: The class names in the order of the probabilities.

    Attributes:
        labels: The same.
    """

    def __init__(self, serve_bytes: Callable[..., dict[str, tf.Tensor]], labels: list[str]) -> None:
        self._serve_bytes = serve_bytes
        self.labels = labels

    @classmethod
    def load(cls, folder: str | Path) -> "Classifier":
        """The classifier that is a SavedModel of `export_model`.

        Args:
            folder: The SavedModel.

        Raises:
            ValueError: If the folder holds no SavedModel, or one without ``serve_bytes`` and labels.
        """
        folder = Path(folder)
        labels_file = folder / "assets" / "labels.txt"
        if not (folder / "saved_model.pb").is_file() or not labels_file.is_file():
            raise ValueError(
                "There is no SavedModel of this package; make one with python -m googlenet_keras.export. "
                f"Received: {str(folder)!r}"
            )
        try:
            loaded = tf.saved_model.load(str(folder))
            loaded.signatures["serve_bytes"]
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise ValueError(f"The SavedModel is damaged ({error}). Received: {str(folder)!r}") from None

        def serve_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
            # The loaded object owns the variables of its signatures, and must live as long as they.
            return loaded.signatures["serve_bytes"](encoded=encoded)

        return cls(serve_bytes, labels_file.read_text(encoding="utf-8").splitlines())

    @classmethod
    def build(
        cls,
        name: str,
        weights: str | Path,
        *,
        classes: int | None = None,
        input_shape: tuple[int, int, int] | None = None,
        labels: str | Path | None = None,
    ) -> "Classifier":
        """The classifier that `export_model` would write of the same arguments.

        Args:
            name: See `export_model`, as for all arguments.
            weights: A weight file, or the name of published weights.
            classes: See there.
            input_shape: See there.
            labels: See there.

        Raises:
            ValueError: If an argument makes no model.
            OSError: If the labels cannot be read.
        """
        record = model_record(name, weights)
        names = class_names(record, labels, classes)
        model, names = build_network(record, names, weights=weights, input_shape=input_shape)
        return cls(signatures(serving_model(model), record.preprocessing)["serve_bytes"].graph(), names)

    def classify(self, encoded: bytes, *, top: int = 5) -> list[Prediction]:
        """Names the likeliest classes of an image, best first.

        Args:
            encoded: The bytes of a JPEG or PNG file.
            top: How many classes to name.

        Raises:
            ValueError: If the bytes are no such image.
        """
        try:
            answer = self._serve_bytes(encoded=tf.constant([encoded]))
        except tf.errors.InvalidArgumentError:
            raise ValueError("not a JPEG or PNG image, or a damaged one") from None
        probabilities = answer["probabilities"].numpy()[0]
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [Prediction(self.labels[i], int(i), float(probabilities[i])) for i in best]
