"""Measures how the time of inference grows with the number of pixels in an image and of images in a batch."""

import contextlib
import json
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from googlenet_keras.benchmarks.inference import ArtifactProcess, untrained_network, write
from googlenet_keras.benchmarks.interleaved import compare
from googlenet_keras.deploy.artifacts import SUFFIXES, planned
from googlenet_keras.deploy.optimization import optimize_for_inference
from googlenet_keras.devices import instruction_sets
from googlenet_keras.files import write_aside
from googlenet_keras.models import model_record, serving_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """The time that a network takes for one batch.

    Attributes:
        input_size: The height and width of an image, in pixels.
        batch_size: The number of images in the batch.
        seconds: The seconds that the batch takes in each round.
    """

    input_size: int
    batch_size: int
    seconds: tuple[float, ...]

    @property
    def pixels(self) -> int:
        """The number of pixels of all images together."""
        return self.batch_size * self.input_size**2

    @property
    def median(self) -> float:
        """The median over the rounds of the seconds that the batch takes."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Growth:
    """A line through the times of a network: a batch takes ``call + pixel * images * pixels`` seconds.

    Attributes:
        model: The name of the network.
        call: The seconds that every call takes, however small the batch is.
        pixel: The seconds that each pixel of each image adds.
        deviation: The median deviation of the points from the line, as a fraction of the measured time.
        points: The measured points.
    """

    model: str
    call: float
    pixel: float
    deviation: float
    points: list[Point]


@dataclass(frozen=True)
class GrowthComparison:
    """The measurements of one run.

    Attributes:
        format: The format of the artifacts, one of `googlenet_keras.deploy.artifacts.FORMATS`.
        instruction_sets: The instruction sets of the processor that matter here.
        growths: The growth of each network.
    """

    format: str
    instruction_sets: tuple[str, ...]
    growths: list[Growth]

    def markdown(self) -> str:
        """Returns the lines as a Markdown table, and the images and the processor that they were measured with."""
        head = ["network", "ms a call", "ms a megapixel", "median deviation"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [
            f"| {one.model} | {one.call * 1e3:.1f} | {one.pixel * 1e9:.0f} | {one.deviation:.0%} |"
            for one in self.growths
        ]
        points = self.growths[0].points
        sizes, batches = ({point.input_size for point in points}, {point.batch_size for point in points})
        lines += ["", f"Images of {_listed(sizes)} pixels a side in batches of {_listed(batches)}, as {self.format}; "]
        lines[-1] += f"{', '.join(self.instruction_sets) or 'unknown instruction sets'}."
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Writes ``growth.json``, ``growth.md`` and ``growth.png``.

        Args:
            folder: An existing folder; files of these names in it are replaced.

        Raises:
            OSError: If the files cannot be written.
        """
        text = json.dumps(asdict(self), indent=2) + "\n"
        for name, content in (("growth.json", text), ("growth.md", self.markdown())):
            with write_aside(folder / name) as file:
                file.write(content.encode())
        with write_aside(folder / "growth.png") as file:
            self._draw().savefig(file, dpi=150)

    def _draw(self) -> "Figure":
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 5), layout="constrained")
        axes = figure.subplots()
        for one in self.growths:
            pixels = np.array(sorted({point.pixels for point in one.points}))
            places = np.geomspace(pixels[0], pixels[-1])
            (line,) = axes.plot(places / 1e6, one.call + one.pixel * places, label=one.model)
            measured = [point.median for point in one.points]
            axes.plot([point.pixels / 1e6 for point in one.points], measured, ".", color=line.get_color())
        axes.set(xscale="log", yscale="log", xlabel="megapixels in a batch", ylabel="seconds")
        axes.grid(alpha=0.3)
        axes.legend()
        return figure


def compare_growth(
    models: Sequence[str],
    *,
    sizes: Sequence[int],
    batch_sizes: Sequence[int],
    format_name: str = "saved_model",
    rounds: int = 3,
) -> GrowthComparison:
    """Times untrained networks, as the build script writes them, at several image sizes and batch sizes.

    For each image size, all networks and batch sizes take turns. Each network runs in a process of its own.

    Args:
        models: Some of `list_models`.
        sizes: The heights and widths of the images, in pixels.
        batch_sizes: The numbers of images in a batch. Two of the batches must differ in their number of pixels.
        format_name: One of `googlenet_keras.deploy.artifacts.FORMATS`.
        rounds: The number of timed rounds; at least 2.

    Returns:
        The times of each network, and the line through them.

    Raises:
        ValueError: If there is no such network, an image is too small for it, a package that writes or runs the format
            is not installed, or all batches have the same number of pixels.
        RuntimeError: If a process fails.
    """
    planned([format_name], ["float32"])
    for model in models:
        least = model_record(model).minimum_size
        if min(sizes) < least:
            raise ValueError(f"{model} takes images of {least} pixels a side or more. Received: {min(sizes)}")
    if len({size**2 * batch for size in sizes for batch in batch_sizes}) < 2:
        raise ValueError(
            "Growth can be measured only between two or more sizes of the image or the batch. "
            f"Received: images of {_listed(sizes)} pixels a side in batches of {_listed(batch_sizes)}"
        )
    points: dict[str, list[Point]] = {model: [] for model in models}
    for size in sorted(set(sizes)):
        for model, point in _measure(tuple(points), size, batch_sizes, format_name, rounds):
            points[model].append(point)
    growths = [fit(model, found) for model, found in points.items()]
    return GrowthComparison(format_name, instruction_sets(), growths)


def _measure(
    models: Sequence[str], size: int, batch_sizes: Sequence[int], format_name: str, rounds: int
) -> list[tuple[str, Point]]:
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        candidates: dict[tuple[str, int], Any] = {}
        calls: dict[tuple[str, int], int] = {}
        for model in models:
            served = optimize_for_inference(serving_model(untrained_network(model, size)))
            path = scratch / f"{model}{SUFFIXES.get(format_name, '')}"
            write(served, model, path)
            process = stack.enter_context(ArtifactProcess(path, served.input.shape[1:]))
            for batch_size in sorted(set(batch_sizes)):
                key = model, batch_size
                calls[key] = process.calls(batch_size)
                candidates[key] = partial(process.ask, batch_size, calls[key])
        timings = compare(candidates, rounds=rounds)
    return [
        (timing.name[0], Point(size, timing.name[1], tuple(one / calls[timing.name] for one in timing.rounds)))
        for timing in timings
    ]


def fit(model: str, points: Sequence[Point]) -> Growth:
    """Fits a line to the times by least squares of relative deviations, which weighs small and large batches equally.

    Args:
        model: The name of the network.
        points: The measured points, for at least two different numbers of pixels.
    """
    seconds = np.array([point.median for point in points])
    pixels = np.array([point.pixels for point in points], "float64")
    # The unit is the largest number of pixels, because these numbers are large and the seconds per pixel are small.
    largest = pixels.max()
    columns = np.stack([np.ones_like(pixels), pixels / largest], axis=1) / seconds[:, np.newaxis]
    (call, pixel), *_ = np.linalg.lstsq(columns, np.ones_like(seconds))
    if call < 0:  # no call takes negative time, so the best line through the origin is used
        call, (pixel,) = 0.0, np.linalg.lstsq(columns[:, 1:], np.ones_like(seconds))[0]
    deviations = np.abs(columns @ [call, pixel] - 1)
    return Growth(model, float(call), float(pixel / largest), float(np.median(deviations)), list(points))


def _listed(numbers: Sequence[int] | set[int]) -> str:
    return ", ".join(map(str, sorted(set(numbers))))
