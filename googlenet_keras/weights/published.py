"""Finds published weights by their name, and their files."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from googlenet_keras.files import write_aside
from googlenet_keras.weights import catalogue
from googlenet_keras.weights.catalogue import PublishedWeights
from googlenet_keras.weights.readers import SUFFIXES

# The short name of the first weights in the table that a network has for ImageNet.
_IMAGENET = "imagenet"


def list_weights(model: str | None = None) -> list[PublishedWeights]:
    """Lists the published weights.

    Args:
        model: The name of a network in `list_models`; None lists the weights of all networks.

    Returns:
        The published weights. ``weights="imagenet"`` means the first of a network whose name begins with ``imagenet/``.
    """
    return [one for one in catalogue.PUBLISHED if model in (None, one.model)]


def find_published(weights: Any, model: str | None = None) -> PublishedWeights | None:
    """Finds the published weights that the ``weights=`` argument of a factory means.

    Args:
        weights: None, the path of a weight file, or the name of published weights.
        model: The name of the network in `list_models`; None finds the only network that has weights of that name.

    Returns:
        The published weights; None if ``weights`` is None or a path.

    Raises:
        ValueError: If ``weights`` is none of these, belongs to another network than ``model``, or belongs to several
            networks and ``model`` is None. The message names the possible weights or networks.
    """
    if weights is None or str(weights).endswith(SUFFIXES) or Path(str(weights)).is_file():
        return None
    named = [one for one in list_weights() if _is_meant(str(weights), one)]
    found = [one for one in named if model in (None, one.model)]
    # The short name means the first weights of a network.
    found = found[:1] if model else found
    if len(found) == 1:
        return found[0]
    received = f"Received: {str(weights)!r}{f' for {model}' if model else ''}"
    if found:
        owners = ", ".join(dict.fromkeys(one.model for one in found))
        raise ValueError(f"Several networks have weights of that name, so say which (--model): {owners}. {received}")
    if named:
        others = [one.model for one in named]
        kin = [other for other in others if model and other.partition("_")[0] == model.partition("_")[0]]
        right = " or ".join(dict.fromkeys(kin or others))
        raise ValueError(f"The weights {str(weights)!r} belong to another network: build {right}. {received}")
    known = [f"{one.name!r} of {one.model}" for one in list_weights(model) or list_weights()]
    owner = f" of {model}" if model else ""
    raise ValueError(
        f"There are no weights{owner} of that name, and no such file; the published weights are {', '.join(known)}. "
        f"{received}"
    )


def _is_meant(name: str, published: PublishedWeights) -> bool:
    return name == published.name or (name == _IMAGENET and published.name.startswith(f"{_IMAGENET}/"))


def weight_file(weights: Any, model: str | None = None) -> Path:
    """Returns the file that the ``weights=`` argument of a factory means; see `find_published`."""
    published = find_published(weights, model)
    return Path(weights) if published is None else published.path()


def shrink_weights(source: str | Path, target: str | Path) -> None:
    """Writes a copy of a weight file in half its size.

    The kernels become float16, the state of the optimizer is left out, and the card is kept. Vectors keep their type,
    because biases and normalizations are only a hundredth of the file, and moving variances may exceed float16.

    Args:
        source: A ``.weights.h5`` file that Keras saved.
        target: The ``.weights.h5`` file to write; an existing file is replaced. Keras and `load_weights` read its
            weights as float32.

    Raises:
        ValueError: If a kernel holds a number that is too large for float16.
        OSError: If the source is not an HDF5 file, or the target cannot be written.
    """
    content = io.BytesIO()
    with h5py.File(source, "r") as whole, h5py.File(content, "w") as small:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if not name.startswith("layers"):
                return
            if isinstance(item, h5py.Group):
                copied = small.require_group(name)
            else:
                array = item[()]
                if array.ndim > 1:
                    with np.errstate(over="ignore"):
                        array = array.astype("float16")
                    if not np.isfinite(array).all():
                        raise ValueError(f"A number is too large for float16 (65504). Received: {name} in {source}")
                copied = small.create_dataset(name, data=array)
            copied.attrs.update(item.attrs)

        small.attrs.update(whole.attrs)
        whole.visititems(copy)
    with write_aside(Path(target)) as file:
        file.write(content.getvalue())
