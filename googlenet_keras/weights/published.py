"""The trained weights that have a name: which file they are; the card in the file says all else."""

import functools
import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from googlenet_keras.files import write_aside
from googlenet_keras.weights.cards import Card, read_card
from googlenet_keras.weights.readers import SUFFIXES


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A weight file that has a name.

    Attributes:
        model: The network that it belongs to, by its name in `list_models`.
        name: What the factories' ``weights=`` calls it.
        file: Its name among the package's assets.
        sha256: Its checksum.
    """

    model: str
    name: str
    file: str
    sha256: str

    def path(self) -> Path:
        """Where the file is.

        Raises:
            ValueError: If it is not the file that was published.
        """
        return _verified(self.file, self.sha256)

    def card(self) -> Card:
        """What the weights are: input, classes, preprocessing, source, licence and accuracy.

        Raises:
            ValueError: If the file is not the one that was published.
        """
        card = read_card(self.path())
        if card is None:
            raise ValueError(f"Published weights have a card; install the package again. Received: {self.file}")
        return card


@functools.cache
def _verified(file: str, sha256: str) -> Path:
    """Where an asset is, read whole and checked once in a process, however often its path is asked for."""
    path = Path(str(resources.files("googlenet_keras").joinpath("assets", file)))
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"A file of the package is missing or damaged; install it again. Received: {path}")
    return path


PUBLISHED = (
    # tests/publish.py makes the file of a finished training, and its checksum here.
    PublishedWeights(
        model="googlenet_bn",
        name="fashion_mnist",
        file="googlenet_bn_fashion_mnist.weights.h5",
        sha256="0cb3363d25169f9b58a42772173d176b62bd0f8e6857271d444f797d6fc12a65",
    ),
)


def find_published(weights: Any, model: str | None = None) -> PublishedWeights | None:
    """What a factory's ``weights=`` means.

    Args:
        weights: None, the path of a weight file, or the name of published weights.
        model: The network, by its name in `list_models`; None is any that has weights of that name.

    Returns:
        The published weights; None if ``weights`` is None or a path.

    Raises:
        ValueError: If it is none of these; the message names the weights that are published.
    """
    if weights is None or str(weights).endswith(SUFFIXES):
        return None
    found = [one for one in PUBLISHED if one.name == str(weights) and model in (None, one.model)]
    if len(found) == 1:
        return found[0]
    if found:
        owners = ", ".join(one.model for one in found)
        raise ValueError(f"Several networks have weights of that name: {owners}. Received: {str(weights)!r}")
    known = ", ".join(f"{published.name!r} of {published.model}" for published in PUBLISHED)
    raise ValueError(
        f"Weights{f' of {model}' if model else ''} are read from files named *{' or *'.join(SUFFIXES)}; those "
        f"published by name are {known}. Received: {str(weights)!r}"
    )


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
