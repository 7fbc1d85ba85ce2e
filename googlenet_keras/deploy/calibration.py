"""What int8 is calibrated on, and what it costs in accuracy."""

from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.data import Batches, open_dataset
from googlenet_keras.evaluation import evaluate
from googlenet_keras.models.trained import Network

# Enough for the ranges of activations; NNCF's default.
IMAGES = 300
BATCH_SIZE = 50


def calibration_images(
    dataset: str, network: Network, shape: tuple[int, ...], *, data_dir: str | Path | None = None
) -> list[np.ndarray]:
    """Training images as the network takes them, at random and the same each time.

    Args:
        dataset: See `open_dataset`.
        network: Whose preprocessing they get.
        shape: (height, width, channels) of its input.
        data_dir: See `open_dataset`.

    Returns:
        `IMAGES` of them, or as many as there are: float32 (1, height, width, channels).

    Raises:
        ValueError: If there is no such dataset, or the network takes no square images.
    """
    data = open_dataset(dataset, data_dir=data_dir)
    split = data.split("train" if "train" in data.split_names else data.split_names[0])
    batches = Batches(
        split,
        batch_size=min(BATCH_SIZE, split.size),
        input_size=_side(shape),
        preprocessing=network.preprocessing,
        channels=shape[-1],
        training=True,
    )
    images: list[np.ndarray] = []
    for batch in batches.epoch(0):
        images += [image[np.newaxis] for image in batch["image"].numpy()]
        if len(images) >= IMAGES:
            break
    return images[:IMAGES]


def accuracy(
    artifact: Path, dataset: str, network: Network, *, data_dir: str | Path | None = None
) -> dict[str, object] | None:
    """The accuracy of an artifact and of its network on the evaluation split.

    Args:
        artifact: The file.
        dataset: See `open_dataset`.
        network: What it was written from.
        data_dir: See `open_dataset`.

    Returns:
        ``dataset``, ``split``, ``examples``, and the accuracy ``before`` and ``after``; None of an untrained network.
    """
    if network.weights is None:
        return None
    options: dict[str, Any] = {"dataset": dataset, "data_dir": data_dir, "batch_size": BATCH_SIZE}
    after = evaluate(None, [artifact], **options)
    before = evaluate(network.record.name, [network.weights], split=after.split, **options)
    return {
        "dataset": dataset,
        "split": after.split,
        "examples": after.scores.examples,
        "before": before.scores.top1,
        "after": after.scores.top1,
    }


def _side(shape: tuple[int, ...]) -> int:
    if shape[0] != shape[1]:
        raise ValueError(f"int8 is calibrated on square images alone. Received: an input of {shape[0]}x{shape[1]}")
    return shape[0]
