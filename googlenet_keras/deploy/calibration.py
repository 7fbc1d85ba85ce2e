"""Chooses the images that calibrate int8, and measures the accuracy before and after the quantization."""

from pathlib import Path
from typing import Any

import numpy as np

from googlenet_keras.data import Batches, open_dataset
from googlenet_keras.evaluation import evaluate
from googlenet_keras.models.trained import Network

# Enough images to estimate the ranges of the activations; NNCF's default.
IMAGES = 300
BATCH_SIZE = 50


def calibration_images(
    dataset: str, network: Network, shape: tuple[int, ...], *, data_dir: str | Path | None = None
) -> list[np.ndarray]:
    """Returns preprocessed training images, which are chosen at random but are the same each time.

    Args:
        dataset: See `open_dataset`.
        network: The network whose preprocessing is applied.
        shape: (height, width, channels) of the network's input.
        data_dir: See `open_dataset`.

    Returns:
        `IMAGES` images, or all if there are fewer: float32 arrays of shape (1, height, width, channels).

    Raises:
        ValueError: If there is no such dataset, or the network's input is not square.
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
    """Measures the accuracy of a network, or of one of its artifacts, on the evaluation split.

    Args:
        weights: The network's weights, or the artifact.
        network: The network.
        dataset: See `open_dataset`.
        data_dir: See `open_dataset`.

    Returns:
        ``dataset``, ``split``, ``examples``, and ``accuracy``, the share of the examples that are classified correctly.
    """
    measured = evaluate(network.record.name, [weights], dataset=dataset, data_dir=data_dir, batch_size=BATCH_SIZE)
    examples, share = measured.scores.examples, measured.scores.top1
    return {"dataset": dataset, "split": measured.split, "examples": examples, "accuracy": share}


def _side(shape: tuple[int, ...]) -> int:
    if shape[0] != shape[1]:
        raise ValueError(f"int8 is calibrated on square images only. Received: an input of {shape[0]}x{shape[1]}")
    return shape[0]
