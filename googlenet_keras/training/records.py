"""Writes the files of a training: log.csv, curves.png, results.json, model.weights.h5 and model_card.md."""

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
    """Creates the card with the facts about the weights that a training writes.

    Args:
        recipe: The recipe of the training.
        arguments: The arguments of the network's factory; see `network_arguments`.
        dataset: The dataset of the training.
        preprocessing: The preprocessing of the dataset's images.
        rows: The rows of the log, one for each completed epoch.
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
    """Summarizes a training for ``results.json``: its recipe, its network, and the results of its last and best epoch.

    Args:
        recipe: The recipe of the training.
        dataset: The dataset of the training.
        model: The network.
        rows: The rows of the log, one for each completed epoch.
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
    """Writes ``log.csv``, with a line for each epoch.

    The whole file is rewritten each time, so that the log of a resumed training contains each epoch once.

    Args:
        folder: The folder to write to.
        rows: The rows of the log, one for each completed epoch, all with the same keys.

    Raises:
        OSError: If the file cannot be written; the older file then remains unchanged.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
    with write_aside(folder / "log.csv") as file:
        file.write(text.getvalue().encode())


def write_results(folder: Path, model: keras.Model, card: Card, results: Mapping[str, Any], rows: Rows) -> None:
    """Writes the files of a finished training: weights, model card, log, picture, and last of all ``results.json``.

    Args:
        folder: The folder to write to.
        model: The model whose weights are written.
        card: The facts about the weights, for the weight file.
        results: The facts about the training, which must be serializable as JSON.
        rows: The rows of the log, one for each completed epoch.

    Raises:
        OSError: If a file cannot be written.
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
    """Draws two plots side by side: the loss and the accuracy of every epoch.

    Args:
        rows: The rows of ``log.csv``, one for each completed epoch.
        file: The path of the PNG file, or a binary file object to which the PNG is written.
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
