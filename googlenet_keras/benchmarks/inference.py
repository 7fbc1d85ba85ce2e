"""How fast a network answers: what the build script writes beside what Keras exports, each in its own runtime."""

import contextlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras.benchmarks.interleaved import Timing, compare
from googlenet_keras.deploy.artifacts import SUFFIXES, quiet_converters, write_artifact
from googlenet_keras.deploy.optimization import optimize_for_inference
from googlenet_keras.deploy.signatures import write_saved_model
from googlenet_keras.describe import count_multiply_adds
from googlenet_keras.devices import instruction_sets
from googlenet_keras.files import tree_size
from googlenet_keras.models import create_model, model_record, serving_model
from googlenet_keras.models.trained import class_names
from googlenet_keras.weights import Card

# A timed call lasts at least so long: the clock and the pipe to the process do not count then.
SECONDS = 0.2
# Large enough for the rate to be the machine's, small enough for a tenth of a second.
MATRIX_SIZE = 2048
# What each format needs to be written and run.
_PACKAGES = {
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino", "scipy"),
    "litert": ("ai_edge_litert",),
}
_NAMES = {"saved_model": "SavedModel", "onnx": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT"}


@dataclass(frozen=True)
class InferenceSpeed:
    """How fast one artifact answers batches of one size.

    Attributes:
        artifact: What it is.
        batch_size: Images at once.
        images_per_second: By the median call.
        ratio: Median, over the rounds, of its throughput to the baseline's in the same round.
        lower: First quartile of that ratio.
        upper: Third quartile of that ratio.
        share: Operations of its convolutions and dense layers in a second, as a fraction of those of a matrix product
            in float32; None if they are not known.
    """

    artifact: str
    batch_size: int
    images_per_second: float
    ratio: float
    lower: float
    upper: float
    share: float | None


@dataclass(frozen=True)
class Footprint:
    """What an artifact takes beside time.

    Attributes:
        artifact: What it is.
        disk: Its bytes on the disk.
        first_answer: Seconds from the start of a process to its first answer.
        peak_memory: The most bytes that the process had, at the largest batch; None where the system does not tell.
    """

    artifact: str
    disk: int
    first_answer: float
    peak_memory: int | None


@dataclass(frozen=True)
class InferenceComparison:
    """What one run measured.

    Attributes:
        model: The network's name, or the artifacts'.
        input_shape: (height, width, channels) of an image, in pixels.
        instruction_sets: Those of the processor that matter here.
        matrix_product: Operations in a second of a large matrix product in float32.
        speeds: By artifact and batch size, the baseline's artifact first.
        footprints: Of each artifact.
        missing: Formats whose runtime or converter is not installed.
    """

    model: str
    input_shape: tuple[int, int, int]
    instruction_sets: tuple[str, ...]
    matrix_product: float
    speeds: list[InferenceSpeed]
    footprints: list[Footprint]
    missing: list[str]

    def markdown(self) -> str:
        """The results as a table of Markdown, with what they were measured on."""
        sizes = sorted({speed.batch_size for speed in self.speeds})
        head = ["artifact", *(f"images/s at {size}" for size in sizes), *(f"ratio at {size}" for size in sizes)]
        head += ["first answer", "peak memory", "on disk"]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        by_key = {(speed.artifact, speed.batch_size): speed for speed in self.speeds}
        for footprint in self.footprints:
            own = [by_key[footprint.artifact, size] for size in sizes]
            peak = "" if footprint.peak_memory is None else f"{footprint.peak_memory / 1e6:.0f} MB"
            cells = [footprint.artifact, *(f"{speed.images_per_second:.1f}" for speed in own)]
            cells += [f"{speed.ratio:.2f} ({speed.lower:.2f} to {speed.upper:.2f})" for speed in own]
            cells += [f"{footprint.first_answer:.2f} s", peak, f"{footprint.disk / 1e6:.1f} MB"]
            lines.append(f"| {' | '.join(cells)} |")
        height, width, _ = self.input_shape
        machine = ", ".join(self.instruction_sets) or "unknown instruction sets"
        lines += ["", f"{self.model}, {height}x{width} pixels; {machine}; a large matrix product in float32: "]
        lines[-1] += f"{self.matrix_product / 1e9:.0f} GFLOP/s."
        return "\n".join(lines) + "\n"

    def save(self, folder: Path) -> None:
        """Writes ``inference.json``, ``inference.md`` and ``inference.png``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "inference.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        (folder / "inference.md").write_text(self.markdown())
        _plot(self, folder / "inference.png")


def compare_inference(
    model: str = "googlenet_bn",
    *,
    artifacts: Sequence[str | Path] = (),
    batch_sizes: Sequence[int] = (1, 8, 32),
    input_size: int | None = None,
    precisions: Sequence[str] = ("float32",),
    rounds: int = 7,
) -> InferenceComparison:
    """Times artifacts, each in a process of its own, in turns.

    Args:
        model: One of `list_models`. It is untrained, and written as Keras exports it and as the build script does, in
            every format whose tools are installed.
        artifacts: Artifacts of the build script to be timed instead.
        batch_sizes: Images at once.
        input_size: Height and width of the images, in pixels; None is the network's own, or what the card of the first
            artifact says.
        precisions: What the build script's ONNX and OpenVINO files are written in: ``"float32"``, ``"int8"``, which is
            calibrated on noise here, and ``"bfloat16"``.
        rounds: How often each is timed; at least 2.

    Returns:
        The figures; the baseline is Keras's own SavedModel, or the first of ``artifacts``.

    Raises:
        ValueError: If there is no such network or artifact.
        RuntimeError: If an artifact's process fails.
    """
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        missing: list[str] = []
        operations = None
        if artifacts:
            paths = {Path(path).name: Path(path) for path in artifacts}
            shape = _shape_of(Path(artifacts[0]), input_size)
            model = ", ".join(paths)
        else:
            network = _network(model, input_size)
            shape = network.input.shape[1:]
            operations = 2 * count_multiply_adds(network)
            missing = [one for one, needed in _PACKAGES.items() if not all(map(importlib.util.find_spec, needed))]
            paths = _written(network, scratch, [one for one in SUFFIXES if one not in missing], precisions)
        processes = {name: stack.enter_context(_Process(path, shape)) for name, path in paths.items()}
        product = np.random.default_rng(0).normal(size=(MATRIX_SIZE, MATRIX_SIZE)).astype("float32")
        matrix: float | None = None
        speeds: list[InferenceSpeed] = []
        for batch_size in batch_sizes:
            calls = {name: process.calls(batch_size) for name, process in processes.items()}
            candidates: dict[str, Any] = {name: partial(processes[name].ask, batch_size, calls[name]) for name in paths}
            timings = compare({**candidates, "": partial(np.matmul, product, product)}, rounds=rounds)
            (own,) = [timing.seconds for timing in timings if not timing.name]
            matrix = min(matrix or own, own)
            speeds += _speeds(timings, batch_size, calls, operations and operations * own / (2 * MATRIX_SIZE**3))
        footprints = [
            Footprint(name, _size(paths[name]), process.first_answer, process.peak_memory)
            for name, process in processes.items()
        ]
    assert matrix is not None
    return InferenceComparison(
        model, shape, instruction_sets(), 2 * MATRIX_SIZE**3 / matrix, speeds, footprints, missing
    )


def _speeds(
    timings: Sequence[Timing[str]], batch_size: int, calls: Mapping[str, int], matrix_seconds: float | None
) -> Iterator[InferenceSpeed]:
    """The speeds of a batch size; ``matrix_seconds`` is what an image would take at the rate of the matrix product.

    Candidates answer several times a call, not all as often: ratios are of their throughputs.
    """
    artifacts = [timing for timing in timings if timing.name]
    first = calls[artifacts[0].name]
    for timing in artifacts:
        factor = calls[timing.name] / first
        throughput = batch_size * calls[timing.name] / timing.seconds
        share = None if matrix_seconds is None else matrix_seconds * throughput
        quartiles = factor / timing.ratio, factor / timing.upper, factor / timing.lower
        yield InferenceSpeed(timing.name, batch_size, throughput, *quartiles, share)


class _Process:
    """An artifact in a process of its own; it ends with the block."""

    def __init__(self, path: Path, shape: Sequence[int]) -> None:
        self._name = path.name
        script = Path(__file__).with_name("inference_process.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script), str(path), *map(str, shape)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.peak_memory: int | None = None
        self.first_answer = self._said()["first_answer"]

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # runtimes greet
                facts = json.loads(line)
                self.peak_memory = facts["peak_memory"]
                return facts
        assert self._process.stderr is not None
        last = (self._process.stderr.read().strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"{self._name} does not answer in a process of its own: {last}")

    def ask(self, batch_size: int, calls: int) -> float:
        """Has the process answer a batch so many times; seconds of one answer."""
        print(batch_size, calls, file=self._process.stdin, flush=True)
        return self._said()["seconds"]

    def calls(self, batch_size: int) -> int:
        """How many answers last `SECONDS`."""
        self.ask(batch_size, 1)
        return max(1, round(SECONDS / self.ask(batch_size, 1)))


def _network(name: str, input_size: int | None) -> keras.Model:
    """A network with moments of batch normalization that are not those of the start: folding must not be trivial."""
    shape = model_record(name).input_shape
    if input_size is not None:
        shape = (input_size, input_size, shape[-1])
    keras.utils.set_random_seed(0)
    network = create_model(name, input_shape=shape)
    generator = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(generator.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(generator.uniform(0.5, 1.5, layer.moving_variance.shape))
    return network


def _written(network: keras.Model, folder: Path, formats: Sequence[str], precisions: Sequence[str]) -> dict[str, Path]:
    """The network as Keras exports it, and as the build script writes it, by what they are called."""
    paths = {"plain SavedModel": folder / "plain"}
    network.export(paths["plain SavedModel"], verbose=False)
    for one in formats:
        paths[f"plain {_NAMES[one]}"] = path = folder / f"plain{SUFFIXES[one]}"
        with quiet_converters():
            network.export(str(path), format=one, verbose=False)
    record = model_record(network.name)
    shape = network.input.shape[1:]
    card = Card(
        model=record.name,
        input_shape=shape,
        labels=class_names(record, network.output.shape[-1]),
        preprocessing=record.preprocessing,
    )
    served = optimize_for_inference(serving_model(network))
    paths["SavedModel"] = folder / "ours"
    write_saved_model(served, paths["SavedModel"], preprocessing=record.preprocessing)
    noise = list(np.random.default_rng(0).uniform(-1, 1, (8, 1, *shape)).astype("float32"))
    for one in formats:
        for precision in precisions:
            if precision == "float32" or (one == "openvino" or (one, precision) == ("onnx", "int8")):
                words = _NAMES[one] if precision == "float32" else f"{_NAMES[one]} {precision}"
                paths[words] = path = folder / f"ours_{precision}{SUFFIXES[one]}"
                write_artifact(served, path, card=card, precision=precision, calibration=noise)
    return paths


def _shape_of(artifact: Path, input_size: int | None) -> tuple[int, int, int]:
    from googlenet_keras.deploy.runtimes import read_artifact_card

    height, width, channels = Card.from_dict(read_artifact_card(artifact)).input_shape
    return (height, width, channels) if input_size is None else (input_size, input_size, channels)


def _size(path: Path) -> int:
    weights = path.with_suffix(".bin")
    return tree_size(path) + (tree_size(weights) if path.suffix == ".xml" and weights.exists() else 0)


def _plot(comparison: InferenceComparison, path: Path) -> None:
    from matplotlib.figure import Figure

    names = [footprint.artifact for footprint in comparison.footprints]
    sizes = sorted({speed.batch_size for speed in comparison.speeds})
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(names) * len(sizes)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(sizes)
    for number, size in enumerate(sizes):
        own = {speed.artifact: speed.images_per_second for speed in comparison.speeds if speed.batch_size == size}
        places = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * height
        bars = axes.barh(places, [own[name] for name in names], height, label=f"batch {size}")
        axes.bar_label(bars, fmt="%.0f", padding=2, fontsize="small")
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("images/s")
    axes.set_title(f"{comparison.model}, {comparison.input_shape[0]}x{comparison.input_shape[1]} pixels")
    axes.legend()
    figure.savefig(path, dpi=150)
