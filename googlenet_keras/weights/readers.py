"""Weight files as ``{name: array}``."""

import zipfile
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np

from googlenet_keras.weights.mapping import load_state

SUFFIXES = (".weights.h5", ".keras")


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights that Keras saved, whatever model they were saved from.

    Args:
        path: A ``.weights.h5`` file of `keras.Model.save_weights` or a ``.keras`` file of `keras.Model.save`. Of a
            ``.keras`` file only the weights are read; no code in it is run.

    Returns:
        ``{"layer/index": array}``, the index counting a layer's weights in Keras's order (kernel, bias; gamma, beta,
        moving mean, moving variance).

    Raises:
        ValueError: If the file is missing, is no such file, or names no layers (Keras before 3.4 wrote none).
    """
    path = Path(path)
    if not path.name.endswith(SUFFIXES):
        raise ValueError(f"Weights are read from files named *{' or *'.join(SUFFIXES)}. Received: {str(path)!r}")
    if not path.is_file():
        raise ValueError(f"There is no such weight file; check the path. Received: {str(path)!r}")
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as file:
                state = _read_hdf5(file)
        else:
            with path.open("rb") as file:
                state = _read_hdf5(file)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"Not a weight file that Keras saved, or a damaged one ({error}). Received: {str(path)!r}"
        ) from None
    if not state:
        raise ValueError(f"The file holds no named layers: save it with Keras 3.4 or later. Received: {str(path)!r}")
    return state


def _read_hdf5(file: object) -> dict[str, np.ndarray]:
    state = {}

    def visit(group: h5py.Group, layer: str | None) -> None:
        # Keras writes a layer's name beside its variables, in the group that holds them or in the one above.
        layer = group.attrs.get("name", layer)
        for key, item in group.items():
            if isinstance(item, h5py.Group):
                visit(item, layer)
            elif layer is not None:
                array = np.asarray(item)
                # HDF5 has no bfloat16: Keras writes its two bytes as they are.
                bfloat16 = item.attrs.get("dtype") == "bfloat16"
                state[f"{layer}/{key}"] = array.view(ml_dtypes.bfloat16).astype("float32") if bfloat16 else array

    with h5py.File(file, "r") as root:
        if "layers" in root:
            visit(root["layers"], None)
    return state


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
