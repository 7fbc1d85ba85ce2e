"""Draws a confusion matrix."""

from pathlib import Path

import numpy as np

from googlenet_keras.evaluation.scores import Scores

INK = "#333333"
SHOWN_PARTS = (0, 0.05, 0.2, 0.5, 1)
# The largest numbers of classes for which a cell has room for its count, and a row has room for its label.
MOST_COUNTS, MOST_LABELS = 20, 60
LONGEST_LABEL = 24  # characters


def plot_confusion(scores: Scores, path: str | Path, *, title: str = "") -> None:
    """Draws the confusion matrix.

    The colour of a cell shows its fraction of its row, so that classes of different sizes can be compared. The number
    in a cell is the count.

    Args:
        scores: The scores to draw.
        path: The picture file to write, ``.png`` or ``.svg``.
        title: A title for the picture.

    Raises:
        OSError: If the picture cannot be written.
    """
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    counts = np.array(scores.confusion)
    classes = len(counts)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(max(5.5, 2.5 + 0.55 * classes if classes <= MOST_COUNTS else 4 + 0.22 * classes), 16)
    figure = Figure(figsize=(side + 1, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    # The square root makes a few mistakes visible among many correct predictions.
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(parts, cmap="Blues", norm=norm, interpolation="nearest")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, loc="left", parse_math=False)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
    if classes <= MOST_LABELS:
        labels = [_shortened(one.label) for one in scores.classes]
        axes.set_xticks(range(classes), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(classes), labels, parse_math=False)
    if classes <= MOST_COUNTS:
        dark = norm(parts) > 0.5
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(
                    column,
                    row,
                    f"{count}",
                    horizontalalignment="center",
                    verticalalignment="center",
                    fontsize=9,
                    color="white" if dark[row, column] else INK,
                )
    figure.colorbar(
        image, shrink=0.7, label="fraction of the true class", format=PercentFormatter(1), ticks=SHOWN_PARTS
    )
    figure.savefig(path)


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
