"""A SavedModel of this package, asked about images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf


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
    """Names what is on an image, with a SavedModel that `export_model` wrote.

    Args:
        folder: The SavedModel.

    Attributes:
        labels: The class names in the order of the model's outputs.

    Raises:
        ValueError: If the folder holds no SavedModel, or one without ``serve_bytes`` and labels.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        labels_file = folder / "assets" / "labels.txt"
        if not (folder / "saved_model.pb").is_file() or not labels_file.is_file():
            raise ValueError(
                "There is no SavedModel of this package; make one with python -m googlenet_keras.export. "
                f"Received: {str(folder)!r}"
            )
        try:
            # The loaded object owns the variables of its signatures.
            self._loaded = tf.saved_model.load(str(folder))
            self._serve_bytes = self._loaded.signatures["serve_bytes"]
        except (OSError, KeyError, tf.errors.OpError) as error:
            raise ValueError(f"The SavedModel is damaged ({error}). Received: {str(folder)!r}") from None
        self.labels = labels_file.read_text(encoding="utf-8").splitlines()

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
