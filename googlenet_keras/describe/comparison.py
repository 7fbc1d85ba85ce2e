"""Compares models side by side, as data and as a chart."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

from googlenet_keras.describe.cost import count_multiply_adds
from googlenet_keras.describe.minimum import smallest_input
from googlenet_keras.describe.stages import describe_model
from googlenet_keras.files import write_aside
from googlenet_keras.models import create_model, model_record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PLOT_SUFFIXES = (".png", ".svg")
# The palette of Okabe and Ito, whose colours colour-blind readers can tell apart.
COLOURS = {"convolutions": "#0072B2", "dense": "#E69F00", "normalization": "#009E73"}
INK, PALE = "#333333", "#E5E5E5"
POINT_RADIUS, CLOSE = 4, 5  # points


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """The numbers by which models are compared, without auxiliary heads.

    Attributes:
        name: The name of the model.
        input_shape: (height, width, channels) of the input, in pixels.
        parameters: The number of all parameters.
        convolution_parameters: The number of parameters in convolutions, kernels and biases.
        dense_parameters: The number of parameters in dense layers.
        normalization_parameters: The number of parameters in batch normalizations, including the moving mean and
            variance.
        multiply_adds: The multiply-adds of convolutions and dense layers, for one image.
        depth: The number of convolutions and dense layers along the longest path.
        minimum_size: The smallest height and width of an input, in pixels.
    """

    name: str
    input_shape: tuple[int, int, int]
    parameters: int
    convolution_parameters: int
    dense_parameters: int
    normalization_parameters: int
    multiply_adds: int
    depth: int
    minimum_size: int


def compare(names: Sequence[str], *, report: Callable[[str], None] = lambda name: None) -> list[ModelSummary]:
    """Builds models by name, each with its default input shape and classes, and summarizes them.

    Args:
        names: Names of `googlenet_keras.list_models`.
        report: Called with each name before the model is built.

    Returns:
        The summaries in the same order.

    Raises:
        ValueError: If there is no model with one of the names.
    """
    for name in names:
        model_record(name)
    summaries = []
    for name in names:
        report(name)
        summaries.append(summarize(create_model(name), model_record(name).endpoints))
    return summaries


def summarize(model: keras.Model, stages: Sequence[str]) -> ModelSummary:
    """Computes the numbers by which a model is compared with others.

    Args:
        model: A functional model whose input size is known.
        stages: See `googlenet_keras.describe.describe_model`.

    Returns:
        The summary.
    """

    def parameters_in(*kinds: type[layers.Layer]) -> int:
        return sum(layer.count_params() for layer in model.layers if isinstance(layer, kinds))

    return ModelSummary(
        name=model.name,
        input_shape=tuple(model.input.shape[1:]),
        parameters=model.count_params(),
        convolution_parameters=parameters_in(layers.Conv2D, layers.SeparableConv2D),
        dense_parameters=parameters_in(layers.Dense),
        normalization_parameters=parameters_in(layers.BatchNormalization),
        multiply_adds=count_multiply_adds(model),
        depth=describe_model(model, stages).depth,
        minimum_size=smallest_input(model, stages),
    )


def plot_comparison(summaries: Sequence[ModelSummary], path: str | Path) -> None:
    """Draws the parameters of models against their multiply-adds, and the kinds of layers that hold the parameters.

    Args:
        summaries: The summaries that `compare` returns; one or more.
        path: The picture file to write; its suffix, ``.png`` or ``.svg``, sets the format. An existing file is replaced
            only when the new picture is complete.

    Raises:
        ValueError: If the suffix is neither of these.
        OSError: If the picture cannot be written.
    """
    from matplotlib.figure import Figure

    path = Path(path)
    check_plot_path(path)
    figure = Figure(figsize=(13, max(5, 1.8 + 0.3 * len(summaries))), dpi=120, layout="constrained")
    scatter, bars = figure.subplots(1, 2, width_ratios=(1.3, 1))
    for axes in (scatter, bars):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
        axes.set_axisbelow(True)
    _draw_costs(scatter, summaries)
    _draw_shares(bars, summaries)
    _label_points(figure, scatter, summaries)
    with write_aside(path) as file:
        figure.savefig(file, format=path.suffix.removeprefix(".").lower())


def check_plot_path(path: Path) -> None:
    """Checks that a picture can be written to a path, before any work is done.

    Raises:
        ValueError: If the suffix is not one of `PLOT_SUFFIXES`.
        NotADirectoryError: If the folder of the picture does not exist.
    """
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise ValueError(f"The name of the picture must end in {' or '.join(PLOT_SUFFIXES)}. Received: {str(path)!r}")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"The folder of the picture does not exist. Received: {str(path)!r}")


def _draw_costs(axes: "Axes", summaries: Sequence[ModelSummary]) -> None:
    """Draws the points on logarithmic scales, without their names; see `_label_points`."""
    x = [summary.multiply_adds / 1e6 for summary in summaries]
    y = [summary.parameters / 1e6 for summary in summaries]
    axes.set(xscale="log", yscale="log", xlabel="multiply-adds, millions", ylabel="parameters, millions")
    axes.set_title("Cost of one prediction", loc="left")
    # The names need room around the points.
    axes.set_xlim(min(x) / 2, max(x) * 6)
    axes.set_ylim(min(y) / 2, max(y) * 2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter("")
    axes.grid(color=PALE, linewidth=0.8)
    axes.scatter(
        x, y, s=(2 * POINT_RADIUS) ** 2, color=COLOURS["convolutions"], edgecolor="white", linewidth=0.8, zorder=3
    )


def _label_points(figure: "Figure", axes: "Axes", summaries: Sequence[ModelSummary]) -> None:
    """Puts each name where it covers neither a point nor another name; overlapping points share a label."""
    from matplotlib.path import Path as Line
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    # The positions in the picture are known only after it has been laid out.
    figure.draw_without_rendering()
    pixel = 72 / figure.dpi  # points
    points = axes.transData.transform([(one.multiply_adds / 1e6, one.parameters / 1e6) for one in summaries]) * pixel
    frame = Bbox(axes.bbox.get_points() * pixel)
    groups: list[list[int]] = []
    for place, point in enumerate(points):
        near = next((group for group in groups if math.dist(point, points[group[0]]) < 2 * POINT_RADIUS), None)
        groups.append([place]) if near is None else near.append(place)
    dots = [Bbox([point - POINT_RADIUS, point + POINT_RADIUS]) for point in points]
    boxes: list[Bbox] = []
    lines: list[Line] = []
    # The largest labels first: they are the hardest to place.
    for group in sorted(groups, key=len, reverse=True):
        first = group[0]
        strangers = [dot for place, dot in enumerate(dots) if place not in group]
        label = axes.annotate(
            "\n".join(summaries[place].name for place in group),
            (summaries[first].multiply_adds / 1e6, summaries[first].parameters / 1e6),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=9,
            color=INK,
            horizontalalignment="center",
            verticalalignment="center",
            arrowprops={"arrowstyle": "-", "color": "#A0A0A0", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
            in_layout=False,
        )
        size = np.array(Text.get_window_extent(label).size) * pixel
        for away, angle in itertools.product((CLOSE, 14, 26, 40, 60, 85, 115, 150), range(0, 360, 30)):
            direction = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
            move = direction * (away + POINT_RADIUS + size / 2)
            middle = points[first] + move
            box = Bbox([middle - size / 2, middle + size / 2]).padded(2)
            line = Line([points[first], middle])
            crossed = any(line.intersects_bbox(other) for other in strangers + boxes) or any(
                other.intersects_bbox(box) for other in lines
            )
            inside = frame.contains(*box.min) and frame.contains(*box.max)
            if inside and not crossed and not box.count_overlaps(dots + boxes):
                label.xyann = move[0], move[1]
                if label.arrow_patch:
                    label.arrow_patch.set_visible(away > CLOSE)
                boxes.append(box)
                lines.append(line)
                break


def _draw_shares(axes: "Axes", summaries: Sequence[ModelSummary]) -> None:
    names = [summary.name for summary in summaries]
    starts = [0.0] * len(summaries)
    for label, colour in COLOURS.items():
        attribute = f"{label.removesuffix('s')}_parameters"
        widths = [getattr(summary, attribute) / 1e6 for summary in summaries]
        axes.barh(names, widths, left=starts, color=colour, label=label, height=0.7)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    for place, total in enumerate(starts):
        axes.text(total, place, f" {total:#.3g}".rstrip("."), verticalalignment="center", fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.set_xlim(0, 1.12 * max(starts))
    axes.grid(axis="x", color=PALE, linewidth=0.8)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_xlabel("parameters, millions")
    axes.set_title("Where the parameters sit", loc="left")
    axes.figure.legend(frameon=False, loc="outside lower right", ncols=len(COLOURS))
