"""The network that is to be served, and the names of its classes."""

from importlib import resources
from pathlib import Path

import keras

from googlenet_keras.models import ModelRecord

# The verification runs three images at once: at this size conv1's output takes 0.8 GB.
LARGEST_SIDE = 2048
# ImageNet has 21,841; beyond this the classifier alone is larger than most machines' memory.
MOST_CLASSES = 100_000


def class_names(record: ModelRecord, file: str | Path | None, classes: int | None) -> list[str] | None:
    """The names of the classes, before there is a network.

    Args:
        record: See `googlenet_keras.model_record`.
        file: A text file of one class name per line, or None for the record's own names.
        classes: How many there must be, or None.

    Returns:
        The names, or None if it is for the network to say how many there are.

    Raises:
        ValueError: If the number is out of range or the file has not as many names, or none.
        OSError: If the file cannot be read.
    """
    if classes is not None and not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"The number of classes must be from 1 to {MOST_CLASSES}. Received: {classes}")
    if file is None:
        return None if classes is None else _own_names(record, classes)
    names = Path(file).read_text(encoding="utf-8").splitlines()
    if not names or not all(name.strip() for name in names):
        raise ValueError(f"Labels are one class name per line, without empty lines. Received: {str(file)!r}")
    if classes is not None and len(names) != classes:
        raise ValueError(
            f"There must be a label for each of {classes} classes. Received: {len(names)} in {str(file)!r}"
        )
    return names


def build_network(
    record: ModelRecord,
    names: list[str] | None,
    *,
    weights: str | Path | None = None,
    input_shape: tuple[int, int, int] | None = None,
    dtype: str | None = None,
    aux_heads: bool = False,
) -> tuple[keras.Model, list[str]]:
    """Builds a network for images as files have them.

    Args:
        record: See `googlenet_keras.model_record`.
        names: What `class_names` returned.
        weights: A weight file or the name of published weights; None leaves the network as it is initialized.
        input_shape: (height, width, channels) in pixels, 1 or 3 channels; None is the record's own.
        dtype: Keras dtype policy; None is the global one.
        aux_heads: Whether the auxiliary heads are built.

    Returns:
        The network and the names of all of its classes.

    Raises:
        ValueError: If an argument makes no network.
    """
    height, width, channels = input_shape or record.input_shape
    if channels not in (1, 3):
        raise ValueError(f"An image to be served has 1 or 3 channels. Received: {channels}")
    if max(height, width) > LARGEST_SIDE:
        raise ValueError(f"An image to be served is at most {LARGEST_SIDE} pixels a side. Received: {height}x{width}")
    if aux_heads and not record.aux_heads:
        raise ValueError(f"Only networks with auxiliary heads can be built with them. Received: {record.name!r}")
    arguments = {"input_shape": input_shape, "weights": weights, "dtype": dtype, "classes": names and len(names)}
    arguments = {key: value for key, value in arguments.items() if value is not None}
    if aux_heads:
        arguments["aux_heads"] = True
    model = record.factory(**{**record.arguments, **arguments})
    return model, names or _own_names(record, model.get_layer("predictions").output.shape[-1])


def _own_names(record: ModelRecord, classes: int) -> list[str]:
    asset = resources.files("googlenet_keras").joinpath("assets", f"{record.labels}_labels.txt")
    names = asset.read_text(encoding="utf-8").splitlines()
    return names if len(names) == classes else [str(index) for index in range(classes)]
