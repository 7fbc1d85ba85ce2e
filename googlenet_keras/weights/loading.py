"""A weight file into a model."""

from pathlib import Path

import keras
import numpy as np

from googlenet_keras.weights.mapping import load_state
from googlenet_keras.weights.readers import read_weights


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Puts a weight file into a model, layer by layer name, and leaves the model as it was if that fails.

    A file saved with auxiliary heads or a top fits a model without them.

    Args:
        model: A model of this package.
        path: See `read_weights`.

    Raises:
        ValueError: If the file cannot be read, holds NaN or infinity, or does not fit; the message lists every weight
            that does not.
    """
    state = read_weights(path)
    damaged = [name for name, array in state.items() if not np.isfinite(array).all()]
    if damaged:
        raise ValueError(
            f"The weight file holds NaN or infinity, in {damaged[0]} and {len(damaged) - 1} other tensors: the "
            f"training diverged or the file is damaged. Received: {str(path)!r}"
        )
    load_state(model, state, "keras")
