"""The trained weights that have a name: which of them a name means, and their files."""

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from googlenet_keras.files import write_aside
from googlenet_keras.weights import catalogue
from googlenet_keras.weights.catalogue import PublishedWeights
from googlenet_keras.weights.readers import SUFFIXES

# What stands for the first weights of a network in the table that were trained on ImageNet.
_IMAGENET = "imagenet"


def list_weights(model: str | None = None) -> list[PublishedWeights]:
    """The weights that have a name.

    Args:
        model: A network, by its name in `list_models`; None is all of them.

    Returns:
        The facts about each; ``weights="imagenet"`` is the first of a network whose name begins with it.
    """
    return [one for one in catalogue.PUBLISHED if model in (None, one.model)]


def find_published(weights: Any, model: str | None = None) -> PublishedWeights | None:
    """Finds the published weights that a factory's ``weights=`` means.

    Args:
        weights: None, the path of a weight file, or the name of published weights.
        model: The network, by its name in `list_models`; None is any that has weights of that name.

    Returns:
        The published weights; None if ``weights`` is None or a path.

    Raises:
        ValueError: If it is none of these; the message names the weights that are published.
    """
    if weights is None or str(weights).endswith(SUFFIXES) or Path(str(weights)).is_file():
        return None
    named = [one for one in list_weights() if _is_meant(str(weights), one)]
    found = [one for one in named if model in (None, one.model)]
    # A network's first is the one that the short name means.
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
        raise ValueError(f"The weights {str(weights)!r} are those of another network: build {right}. {received}")
    known = [f"{one.name!r} of {one.model}" for one in list_weights(model) or list_weights()]
    owner = f" of {model}" if model else ""
    raise ValueError(
        f"There are no weights{owner} of that name, and no such file; those published by name are {', '.join(known)}. "
        f"{received}"
    )


def _is_meant(name: str, published: PublishedWeights) -> bool:
    return name == published.name or (name == _IMAGENET and published.name.startswith(f"{_IMAGENET}/"))


def weight_file(weights: Any, model: str | None = None) -> Path:
    """The file that a factory's ``weights=`` means; see `find_published`."""
    published = find_published(weights, model)
    return Path(weights) if published is None else published.path()


def shrink_weights(source: str | Path, target: str | Path) -> None:
    """Writes a weight file again in half its size: kernels in float16, vectors as they are, no optimizer, its card.

    Biases and normalizations are a hundredth of the whole, and moving variances may be beyond float16.

    Args:
        source: A ``.weights.h5`` file that Keras saved.
        target: A ``.weights.h5`` file, replaced if it is there. Keras and `load_weights` read it into float32.

    Raises:
        ValueError: If a kernel has a number that float16 cannot hold.
        OSError: If the source is no such file, or the target cannot be written.
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
