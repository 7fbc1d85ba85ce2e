"""Draws what a network looks at."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from googlenet_keras.deploy.classifier import Prediction
from googlenet_keras.explain.attribution import grad_cam, smooth_grad
from googlenet_keras.explain.branches import BranchResponse
from googlenet_keras.explain.subject import Subject
from googlenet_keras.files import replacing
from googlenet_keras.images import resize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#333333"
HEAT = "inferno"
LONGEST_LABEL = 32  # characters
OPAQUE = 0.75  # opacity of the heat map where it is largest
PERCENTILE = 99  # of the gradients; it stands for the largest, because single ones are far above the others
CHANNELS_SHOWN = 3  # of each branch
TINY = float(np.finfo("float32").tiny)


def plot_classes(
    subject: Subject,
    image: np.ndarray,
    predictions: Sequence[Prediction],
    path: str | Path,
    *,
    layer: str | None = None,
) -> None:
    """Draws where a network sees classes, with a row of the photograph, Grad-CAM and SmoothGrad for each class.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        predictions: The classes.
        path: The picture file to write, ``.png`` or ``.svg``.
        layer: The layer whose feature maps Grad-CAM uses; None means the last one.

    Raises:
        ValueError: If there is no such layer, or the image does not have the network's size.
        OSError: If the picture cannot be written.
    """
    layer = layer or subject.last_maps()
    figure = _figure(10.5, 3.2 * len(predictions))
    rows = figure.subplots(len(predictions), 3, squeeze=False)
    for row, one in zip(rows, predictions, strict=True):
        _show(row[0], image, f"{_shortened(one.label)}  {one.probability:.1%}")
        heat = grad_cam(subject, image, one.index, layer=layer)
        enlarged = resize(heat[..., None], subject.size, "bicubic").numpy()[..., 0]
        _overlay(row[1], image, np.clip(enlarged, 0, heat.max()), heat.max(), f"Grad-CAM, {layer}", "logit")
        gradient = smooth_grad(subject, image, one.index)
        # The picture shows relative values, because the unit, logits per pixel value, has no meaning to the reader.
        gradient = gradient / max(float(np.percentile(gradient, PERCENTILE)), TINY)
        _overlay(row[2], image, gradient, 1, "SmoothGrad", "share of the largest")
    _save(figure, path)


def plot_branches(image: np.ndarray, module: str, responses: Sequence[BranchResponse], path: str | Path) -> None:
    """Draws the responses of a module's branches side by side.

    The upper row shows the mean of each branch over its channels, in the same range of colours for all branches. Below
    are the channels of each branch that respond most.

    Args:
        image: Pixels (height, width, channels) in [0, 255].
        module: The module's name.
        responses: The result of `branch_responses`.
        path: The picture file to write, ``.png`` or ``.svg``.

    Raises:
        OSError: If the picture cannot be written.
    """
    figure = _figure(2.5 * (len(responses) + 1) + 0.6, 2.6 + 1.9 * CHANNELS_SHOWN)
    axes = figure.subplots(
        1 + CHANNELS_SHOWN, len(responses) + 1, squeeze=False, height_ratios=[1.25] + [1] * CHANNELS_SHOWN
    )
    for unused in axes.flat:
        unused.axis("off")
    _show(axes[0, 0], image, _shortened(module))
    note = "the channels\n(numbers of the module)\nthat respond most,\neach in its own range"
    axes[1, 0].text(0.5, 0.5, note, ha="center", va="center", color=INK, fontsize=9, transform=axes[1, 0].transAxes)
    means = [one.maps.mean(axis=-1) for one in responses]
    least, largest = min(map(np.min, means)), max(map(np.max, means))
    for column, one, mean in zip(axes[:, 1:].T, responses, means, strict=True):
        shown = _heat(column[0], mean, least, largest, f"{one.title}\nmean {one.mean:.3g}")
        strongest = np.argsort(-one.maps.mean(axis=(0, 1)), kind="stable")[:CHANNELS_SHOWN]
        for below, channel in zip(column[1:], strongest, strict=False):
            answer = one.maps[..., channel]
            title = f"channel {one.first_channel + channel}, mean {answer.mean():.3g}"
            _heat(below, answer, answer.min(), answer.max(), title, size=9)
    figure.colorbar(shown, ax=list(axes[0, 1:]), label="mean activation", shrink=0.8)
    _save(figure, path)


def plot_filters(subject: Subject, path: str | Path) -> None:
    """Draws the filters of the first convolution as a grid.

    The filters of a grey network are drawn in two colours, and those of an RGB network in RGB. Each filter has its own
    range of values, with zero in the middle.

    Args:
        subject: The network.
        path: The picture file to write, ``.png`` or ``.svg``.

    Raises:
        ValueError: If the network does not begin with a convolution on the image.
        OSError: If the picture cannot be written.
    """
    first = next((one for one in subject.model.layers if isinstance(one, keras.layers.Conv2D)), None)
    if first is None or first.kernel.shape[2] != subject.channels:
        raise ValueError(f"The network does not begin with a convolution. Received: {subject.model.name!r}")
    kernel = keras.ops.convert_to_numpy(first.kernel).astype("float32")
    if subject.preprocessing.channels == "BGR" and subject.channels == 3:
        kernel = kernel[:, :, ::-1]
    count = kernel.shape[-1]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    # The figure must have room for the title, which is four inches wide.
    figure = _figure(max(0.75 * columns + 0.4, 4.4), 0.75 * rows + 0.8)
    axes = figure.subplots(rows, columns, squeeze=False)
    for place, one in enumerate(axes.flat):
        one.axis("off")
        if place < count:
            weights = kernel[..., place]
            part = weights / max(float(np.abs(weights).max()), TINY)
            if subject.channels == 1:
                one.imshow(part[..., 0], cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
            else:
                one.imshow((part + 1) / 2, interpolation="nearest")
    height, width = kernel.shape[:2]
    colours = "red: positive, blue: negative" if subject.channels == 1 else "grey: zero"
    figure.suptitle(
        f"{first.name}: {count} filters of {height}x{width}\n{colours}; each in its own range", color=INK, fontsize=10
    )
    _save(figure, path)


def plot_images(images: Sequence[np.ndarray], titles: Sequence[str], path: str | Path) -> None:
    """Draws images side by side, each under its title: visualizations, or a photograph and its DeepDream.

    Args:
        images: Pixels (height, width, channels) in [0, 255].
        titles: One or two lines of text for each image.
        path: The picture file to write, ``.png`` or ``.svg``.

    Raises:
        OSError: If the picture cannot be written.
    """
    figure = _figure(4.2 * len(images), 4.6)
    for axes, image, title in zip(figure.subplots(1, len(images), squeeze=False)[0], images, titles, strict=True):
        _show(axes, image, title)
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=120, layout="constrained")


def _save(figure: "Figure", path: str | Path) -> None:
    """Writes a figure to a temporary file, then renames it to ``path``.

    The font is DejaVu Sans, which comes with matplotlib, so that every machine has it.
    """
    from matplotlib import rc_context

    with replacing(Path(path)) as aside, rc_context({"font.family": "DejaVu Sans"}):
        figure.savefig(aside)


def _show(axes: "Axes", image: np.ndarray, title: str) -> None:
    pixels = np.clip(np.asarray(image) / 255, 0, 1)
    axes.imshow(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), interpolation="bicubic")
    axes.axis("off")
    axes.set_title(title, fontsize=10, color=INK, parse_math=False)


def _heat(axes: "Axes", answer: np.ndarray, least: float, largest: float, title: str, *, size: int = 10) -> Any:
    shown = axes.imshow(answer, cmap=HEAT, vmin=least, vmax=max(largest, least + 1e-9), interpolation="nearest")
    axes.axis("off")
    axes.set_title(title, fontsize=size, color=INK, parse_math=False)
    return shown


def _overlay(axes: "Axes", image: np.ndarray, heat: np.ndarray, largest: float, title: str, unit: str) -> None:
    """Draws heat over the grey photograph; the more heat, the less of the photograph shows through."""
    from matplotlib.cm import ScalarMappable

    grey = np.broadcast_to(np.asarray(image).mean(axis=-1, keepdims=True), (*image.shape[:2], 3))
    _show(axes, grey, title)
    if largest <= 0:
        title, largest = f"{title}:\nno evidence for the class", 1
        axes.set_title(title, fontsize=10, color=INK, parse_math=False)
    part = np.clip(heat / largest, 0, 1)
    shown = axes.imshow(heat, cmap=HEAT, vmin=0, vmax=largest, alpha=OPAQUE * part**0.7, interpolation="bilinear")
    # A colour bar of `shown` itself would be as transparent as the heat.
    solid = axes.figure.colorbar(ScalarMappable(shown.norm, shown.cmap), ax=axes, shrink=0.85)
    solid.set_label(unit, fontsize=8, color=INK)
    solid.ax.tick_params(labelsize=8, colors=INK)


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…"
