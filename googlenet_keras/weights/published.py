"""The trained weights that come with the package: where they are, what they were trained on, what they are worth."""

import hashlib
import io
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from googlenet_keras.files import write_aside
from googlenet_keras.weights.readers import SUFFIXES, load_weights


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """What is known of a weight file that has a name.

    Attributes:
        model: The network that it belongs to, by its name in `list_models`.
        name: What the factories' ``weights=`` calls it.
        file: Its name among the package's assets.
        sha256: Its checksum.
        source: The command that trained it; the kernels were then rounded to half precision.
        licence: Of the weights; and of the data behind them.
        images: What images it knows; on others its answers mean nothing.
        input_shape: (height, width, channels) in pixels that it was trained at.
        classes: How many it tells apart.
        labels: Whose class names they are: the stem of a ``*_labels.txt`` among the package's assets.
        crop_fraction: Part of an image's shorter side that the central crop keeps; 1 is the whole image. All else of
            the preprocessing is the model's (see `ModelRecord.preprocessing`).
        accuracy: Share of the test split's images that this very file names rightly, one crop each.
    """

    model: str
    name: str
    file: str
    sha256: str
    source: str
    licence: str
    images: str
    input_shape: tuple[int, int, int]
    classes: int
    labels: str
    crop_fraction: float
    accuracy: float

    def load(self, model: keras.Model, *, channels: int) -> None:
        """Puts the weights into a model, and leaves it as it was if that fails.

        Args:
            model: The network that they belong to, of any input size, with its top or without it.
            channels: Number of channels of the images that it takes.

        Raises:
            ValueError: If the model has another number of channels or classes than the weights, or other layers, or the
                file is not the one that was published.
        """
        top = next((layer for layer in model.layers if layer.name == "predictions"), None)
        for what, here, published in (
            ("channels", channels, self.input_shape[-1]),
            ("classes", top and top.output.shape[-1], self.classes),
        ):
            if here not in (None, published):
                raise ValueError(
                    f"The weights {self.name!r} are those of {published} {what}: build the model with them as "
                    f"create_model({self.model!r}, weights={self.name!r}) does, or for other classes with "
                    f"include_top=False. Received: {here} {what}"
                )
        with resources.as_file(resources.files("googlenet_keras").joinpath("assets", self.file)) as path:
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
                raise ValueError(f"A file of the package is missing or damaged; install it again. Received: {path}")
            load_weights(model, path)


PUBLISHED = (
    # tests/publish.py makes the file of a finished training, and its checksum and accuracy here.
    PublishedWeights(
        model="googlenet_bn",
        name="fashion_mnist",
        file="googlenet_bn_fashion_mnist.weights.h5",
        sha256="0b3b6344faa1adb39ab7c267d3ea66e485ecb64c0e183b9be0e22b8274a3b656",
        source="python -m googlenet_keras.train --recipe fashion_mnist",
        licence="MIT; Fashion-MNIST: MIT, Zalando SE",
        images="one piece of clothing, upright, light on black, filling the image, as in Fashion-MNIST",
        input_shape=(96, 96, 1),
        classes=10,
        labels="fashion_mnist",
        crop_fraction=1.0,
        accuracy=0.9532,
    ),
)


def find_published(model: str | None, weights: Any) -> PublishedWeights | None:
    """What a factory's ``weights=`` means.

    Args:
        model: The network, by its name in `list_models`; None is any other network, which has no published weights.
        weights: None, the path of a weight file, or the name of published weights.

    Returns:
        The published weights; None if ``weights`` is None or a path.

    Raises:
        ValueError: If it is none of these; the message names the weights that are published.
    """
    if weights is None or str(weights).endswith(SUFFIXES):
        return None
    for published in PUBLISHED:
        if (published.model, published.name) == (model, str(weights)):
            return published
    known = ", ".join(f"{published.name!r} of {published.model}" for published in PUBLISHED)
    model = model or "this network"
    raise ValueError(
        f"Weights of {model} are read from files named *{' or *'.join(SUFFIXES)}; those published by name are {known}. "
        f"Received: {str(weights)!r}"
    )


def shrink_weights(source: str | Path, target: str | Path) -> None:
    """Writes a weight file again in half its size: kernels in float16, vectors as they are, no optimizer.

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

        whole.visititems(copy)
    with write_aside(Path(target)) as file:
        file.write(content.getvalue())
