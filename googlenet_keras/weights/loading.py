"""Loads a weight file of any format into a model."""

from pathlib import Path

import keras

from googlenet_keras.weights.mapping import Loading, load_state
from googlenet_keras.weights.readers import open_weights


def load_weights(model: keras.Model, path: str | Path, source: str | None = None) -> Loading:
    """Loads a weight file into a model by the names of its layers.

    If loading fails, the model is unchanged. A file saved with auxiliary heads or a top fits a model without them.

    Args:
        model: A model of this package.
        path: The weight file; see `open_weights`.
        source: The source that named the tensors; see `load_state`. None recognizes it with `recognize_source`.

    Returns:
        The tensors that were loaded into each layer, and those that were left out.

    Raises:
        ValueError: If the file cannot be read, holds NaN or infinity, or does not fit the model. The message names the
            tensors at fault.
        OSError: If the file cannot be opened.
    """
    with open_weights(path) as file:
        return load_state(model, file.tensors, source)
