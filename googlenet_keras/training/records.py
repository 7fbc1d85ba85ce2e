"""What a training leaves behind: log.csv, curves.png, results.json and model.weights.h5."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from googlenet_keras.files import write_aside
from googlenet_keras.weights.cards import Card, save_weights

Rows = Sequence[Mapping[str, float]]


def write_log(folder: Path, rows: Rows) -> None:
    """Writes ``log.csv``, a line for each epoch; all of it each time, so that a resumed training has each epoch once.

    Args:
        folder: Where to.
        rows: The epochs, with the same keys each.

    Raises:
        OSError: If the disk refuses; the older file is then as it was.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    with write_aside(folder / "log.csv") as file:
        file.write(text.getvalue().encode())


def write_results(folder: Path, model: keras.Model, card: Card, results: Mapping[str, Any], rows: Rows) -> None:
    """Writes what a finished training leaves: weights, picture, log, and last of all ``results.json``.

    Args:
        folder: Where to.
        model: Whose weights are kept.
        card: What is to be known of them, for the weight file.
        results: What is to be known of the training; JSON.
        rows: The epochs.

    Raises:
        OSError: If the disk refuses.
    """
    save_weights(model, folder / "model.weights.h5", card)
    if rows:
        write_log(folder, rows)
        with write_aside(folder / "curves.png") as file:
            plot_curves(rows, file)
    with write_aside(folder / "results.json") as file:
        file.write(json.dumps(results, indent=2).encode() + b"\n")


def plot_curves(rows: Rows, file: Any) -> None:
    """Draws loss and accuracy of every epoch, side by side.

    Args:
        rows: The epochs, as in ``log.csv``.
        file: Path or binary file of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    marker = "o" if len(rows) == 1 else ""
    loss.plot(epochs, [row["loss"] for row in rows], marker=marker, label="training, as minimized")
    loss.plot(epochs, [row["val_loss"] for row in rows], marker=marker, label="validation, cross-entropy")
    loss.set(xlabel="epoch", ylabel="loss (nats)")
    heads = [name for name in rows[0] if name.endswith("accuracy") and not name.startswith("val_")]
    for name in heads:
        head = name.removesuffix("accuracy").rstrip("_")
        accuracy.plot(
            epochs, [row[name] for row in rows], marker=marker, label="training" + (f", {head}" if head else "")
        )
    accuracy.plot(epochs, [row["val_accuracy"] for row in rows], marker=marker, label="validation")
    accuracy.set(xlabel="epoch", ylabel="accuracy")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.savefig(file, format="png", dpi=120)
