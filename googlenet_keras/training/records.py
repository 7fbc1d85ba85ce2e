"""The files that a training writes: log.csv, curves.png, results.json and model.weights.h5."""

import csv
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from googlenet_keras.data import Dataset
from googlenet_keras.files import write_aside
from googlenet_keras.images import Preprocessing
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.weights.cards import Card, package_versions, save_weights
from googlenet_keras.weights.model_cards import model_card

Rows = Sequence[Mapping[str, float]]


def create_card(
    recipe: Recipe, arguments: Mapping[str, Any], dataset: Dataset, preprocessing: Preprocessing, rows: Rows
) -> Card:
    """The facts about the weights that a training writes.

    Args:
        recipe: The recipe of the training.
        arguments: The arguments of the network's factory; see `network_arguments`.
        dataset: The dataset of the training.
        preprocessing: The preprocessing of its images.
        rows: The epochs.
    """
    return Card(
        model=recipe.model,
        arguments=arguments,
        input_shape=(recipe.full_size, recipe.full_size, dataset.channels),
        labels=dataset.label_names,
        preprocessing=preprocessing,
        dataset=recipe.dataset,
        recipe=dataclasses.asdict(recipe),
        accuracy=rows[-1]["val_accuracy"] if rows else None,
        versions=package_versions(),
    )


def summarize(recipe: Recipe, dataset: Dataset, model: keras.Model, rows: Rows) -> dict[str, Any]:
    """Summarizes a training for ``results.json``: its recipe, its network, and its last and best epoch.

    Args:
        recipe: The recipe of the training.
        dataset: The dataset of the training.
        model: The network.
        rows: The epochs.
    """
    return {
        "recipe": dataclasses.asdict(recipe),
        "classes": dataset.classes,
        "labels": list(dataset.label_names),
        "parameters": model.count_params(),
        "best_val_accuracy": max((row["val_accuracy"] for row in rows), default=None),
        **(rows[-1] if rows else {}),
        "versions": package_versions(),
    }


def write_log(folder: Path, rows: Rows) -> None:
    """Writes ``log.csv``, a line for each epoch; all of it each time, so that a resumed training has each epoch once.

    Args:
        folder: The folder to write to.
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
    """Writes the files of a finished training: weights, model card, picture, log, and last of all ``results.json``.

    Args:
        folder: The folder to write to.
        model: The model whose weights are written.
        card: The facts about them, for the weight file.
        results: The facts about the training; JSON.
        rows: The epochs.

    Raises:
        OSError: If the disk refuses.
    """
    save_weights(model, folder / "model.weights.h5", card)
    with write_aside(folder / "model_card.md") as file:
        file.write(model_card(card, parameters=model.count_params()).encode())
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
