"""Chooses the images that calibrate int8, and measures the accuracy that int8 costs."""

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
        network: The network whose preprocessing they get.
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
    weights: str | Path, network: Network, dataset: str, *, data_dir: str | Path | None = None
) -> dict[str, Any]:
    """The accuracy of a network or of an artifact of it on the evaluation split.

    Args:
        weights: The network's weights, or the artifact.
        network: The network.
        dataset: See `open_dataset`.
        data_dir: See `open_dataset`.

    Returns:
        ``dataset``, ``split``, ``examples`` and ``accuracy``, the share of them that is classified correctly.
    """
    measured = evaluate(network.record.name, [weights], dataset=dataset, data_dir=data_dir, batch_size=BATCH_SIZE)
    examples, share = measured.scores.examples, measured.scores.top1
    return {"dataset": dataset, "split": measured.split, "examples": examples, "accuracy": share}


def _side(shape: tuple[int, ...]) -> int:
    if shape[0] != shape[1]:
        raise ValueError(f"int8 is calibrated on square images alone. Received: an input of {shape[0]}x{shape[1]}")
    return shape[0]
