"""Measures the speed of inference of our exports next to that of Keras's own, each in its own runtime."""

import contextlib
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from googlenet_keras.benchmarks.interleaved import Timing, compare
from googlenet_keras.deploy.artifacts import SUFFIXES, quiet_converters, write_artifact
from googlenet_keras.deploy.optimization import optimize_for_inference
from googlenet_keras.deploy.runtimes import CARD, read_artifact_card, runtime
from googlenet_keras.deploy.signatures import write_saved_model
from googlenet_keras.describe import count_multiply_adds
from googlenet_keras.devices import BFLOAT16_FLAGS, instruction_sets
from googlenet_keras.files import tree_size, write_aside
from googlenet_keras.models import create_model, model_record, serving_model
from googlenet_keras.models.trained import class_names
from googlenet_keras.weights import Card

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A timed call lasts at least this long, so that the time for the clock and the pipe to the process is negligible.
SECONDS = 0.2
# Large enough to reach the machine's full rate, and small enough to take a tenth of a second.
MATRIX_SIZE = 2048
MATRIX_OPERATIONS = 2 * MATRIX_SIZE**3
# The packages that each format needs to be written and run.
_PACKAGES = {
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino", "scipy"),
    "litert": ("ai_edge_litert",),
}
_NAMES = {"saved_model": "SavedModel", "onnx": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT"}
# The networks that torchvision has too, with its names for them, and the forms that `inference_process` runs.
_TORCHVISION = {"googlenet_bn": "googlenet", "inception_v3": "inception_v3"}
_TORCHVISION_FORMS = ("eager", "channels_last", "compiled")


@dataclass(frozen=True)
class InferenceSpeed:
    """The speed of one artifact at one batch size.

    Attributes:
        artifact: The artifact, in words.
        batch_size: The number of images in a batch.
        images_per_second: The images per second of the median call.
        ratio: The median over the rounds of its throughput divided by the baseline's in the same round.
        lower: The first quartile of that ratio.
        upper: The third quartile of that ratio.
        share: The operations per second of its convolutions and dense layers, as a fraction of those of a matrix
            product in float32, by the median of the rounds; None if they are not known.
        seconds: The seconds that a batch takes in each round, from which the values above are computed.
    """

    artifact: str
    batch_size: int
    images_per_second: float
    ratio: float
    lower: float
    upper: float
    share: float | None
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Footprint:
    """The memory, disk space and start time that an artifact needs.

    Attributes:
        artifact: The artifact, in words.
        disk: The size on the disk in bytes; None if the artifact is not a file.
        first_answer: The seconds from the start of the process to its first output.
        peak_memory: The peak memory of the process in bytes, over all batch sizes; None if the system does not report
            it.
    """

    artifact: str
    disk: int | None
    first_answer: float
    peak_memory: int | None


@dataclass(frozen=True)
class InferenceComparison:
    """The measurements of one run.

    Attributes:
        model: The name of the network, or the names of the artifacts.
        input_shape: (height, width, channels) of an image, in pixels.
        instruction_sets: The instruction sets of the processor that matter here.
        matrix_product: The operations per second of a large matrix product in float32, by the median of all rounds.
        speeds: The speeds of all artifacts at each batch size, the baseline first.
        footprints: The footprint of each artifact.
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
        """Returns the results as a Markdown table, and the images and the processor that they were measured with."""
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
            disk = "" if footprint.disk is None else f"{footprint.disk / 1e6:.1f} MB"
            cells += [f"{footprint.first_answer:.2f} s", peak, disk]
            lines.append(f"| {' | '.join(cells)} |")
        height, width, _ = self.input_shape
        machine = ", ".join(self.instruction_sets) or "unknown instruction sets"
        lines += ["", f"{self.model}, {height}x{width} pixels; {machine}; a large matrix product in float32: "]
        lines[-1] += f"{self.matrix_product / 1e9:.0f} GFLOP/s."
        if self.missing:
            lines[-1] += f" Not installed here, and left out: {', '.join(self.missing)}."
        return "\n".join(lines) + "\n"


def save_comparisons(comparisons: Sequence[InferenceComparison], folder: Path) -> None:
    """Writes ``inference.json``, ``inference.md`` and ``inference.png``.

    Args:
        comparisons: The measurements.
        folder: An existing folder; files of these names in it are replaced.

    Raises:
        OSError: If the files cannot be written.
    """
    text = json.dumps([asdict(comparison) for comparison in comparisons], indent=2) + "\n"
    tables = "\n".join(comparison.markdown() for comparison in comparisons)
    for name, content in (("inference.json", text), ("inference.md", tables)):
        with write_aside(folder / name) as file:
            file.write(content.encode())
    with write_aside(folder / "inference.png") as file:
        _draw(comparisons).savefig(file, dpi=150)


def compare_inference(
    model: str = "googlenet_bn",
    *,
    artifacts: Sequence[str | Path] = (),
    batch_sizes: Sequence[int] = (1, 8, 32),
    input_size: int | None = None,
    precisions: Sequence[str] = ("float32",),
    rounds: int = 7,
) -> InferenceComparison:
    """Times artifacts, which take turns, each in a process of its own.

    Args:
        model: One of `list_models`. The untrained network is written both as Keras exports it and as the build script
            does, in every format whose tools are installed.
        artifacts: Artifacts of the build script that are timed instead.
        batch_sizes: The numbers of images in a batch.
        input_size: The height and width of the images, in pixels; None means the network's own size, or the size in the
            cards of the artifacts.
        precisions: The precisions of the build script's files: ``"float32"``, ``"int8"`` for ONNX and OpenVINO, which
            is calibrated on noise here, and ``"bfloat16"`` for OpenVINO.
        rounds: The number of timed rounds; at least 2.

    Returns:
        The measurements; the baseline is Keras's own SavedModel, or the first of ``artifacts``.

    Raises:
        ValueError: If there is no such network or artifact, or the artifacts have different input sizes.
        RuntimeError: If an artifact's process fails.
    """
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        missing: list[str] = []
        operations = None
        if artifacts:
            candidates: dict[str, Path | str] = dict(zip(_shortest(artifacts), map(Path, artifacts), strict=True))
            shape = _common_shape(artifacts, input_size)
            model = ", ".join(candidates)
        else:
            network = untrained_network(model, input_size)
            shape = network.input.shape[1:]
            operations = 2 * count_multiply_adds(network)
            missing = [name for name, packages in _PACKAGES.items() if not all(map(importlib.util.find_spec, packages))]
            candidates = {
                **_write_plain(network, scratch, [name for name in SUFFIXES if name not in missing]),
                **_torchvision(model),
                **_write_ours(network, scratch, [name for name in SUFFIXES if name not in missing], precisions),
            }
        processes = {
            name: stack.enter_context(ArtifactProcess(artifact, shape)) for name, artifact in candidates.items()
        }
        matrix_seconds: list[float] = []
        speeds: list[InferenceSpeed] = []
        for batch_size in batch_sizes:
            calls = {name: process.calls(batch_size) for name, process in processes.items()}
            asked: dict[str, Any] = {
                name: partial(process.ask, batch_size, calls[name]) for name, process in processes.items()
            }
            *timings, matrix = compare({**asked, "matrix product": matrix_product()}, rounds=rounds)
            speeds += _speeds(timings, batch_size, calls, matrix.rounds, operations)
            matrix_seconds += matrix.rounds
        footprints = [
            Footprint(name, _size(candidates[name]), process.first_answer, process.peak_memory)
            for name, process in processes.items()
        ]
    rate = MATRIX_OPERATIONS / statistics.median(matrix_seconds)
    return InferenceComparison(model, shape, instruction_sets(), rate, speeds, footprints, missing)


def matrix_product() -> partial[np.ndarray]:
    """Returns a function that multiplies large float32 matrices, to be timed in turns with the artifacts.

    A call takes `MATRIX_OPERATIONS` operations.
    """
    product = np.random.default_rng(0).normal(size=(MATRIX_SIZE, MATRIX_SIZE)).astype("float32")
    return partial(np.matmul, product, product)


def _speeds(
    timings: Sequence[Timing[str]],
    batch_size: int,
    calls: Mapping[str, int],
    matrix_seconds: Sequence[float],
    operations: int | None,
) -> Iterator[InferenceSpeed]:
    """Yields the speeds at one batch size, the baseline first, from the seconds of each round.

    In a call, each artifact runs several batches, and their number differs, so the seconds of one batch are compared.

    Args:
        timings: The timings of the calls.
        batch_size: The number of images in a batch.
        calls: The number of batches that each artifact runs in a call.
        matrix_seconds: The seconds of the matrix product in each round.
        operations: The operations of one image; None if they are not known.
    """
    seconds = {timing.name: tuple(one / calls[timing.name] for one in timing.rounds) for timing in timings}
    baseline = seconds[timings[0].name]
    for name, own in seconds.items():
        ratios = [theirs / mine for mine, theirs in zip(own, baseline, strict=True)]
        lower, ratio, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        share = None
        if operations is not None:
            of_matrix = operations * batch_size / MATRIX_OPERATIONS
            share = of_matrix * statistics.median(
                matrix / mine for matrix, mine in zip(matrix_seconds, own, strict=True)
            )
        throughput = batch_size / statistics.median(own)
        yield InferenceSpeed(name, batch_size, throughput, ratio, lower, upper, share, own)


class ArtifactProcess:
    """Runs an artifact in a process of its own.

    Use it as a context manager: the process ends with the block.

    Args:
        artifact: The path of the artifact, or another name that `inference_process` takes.
        shape: (height, width, channels) of an image, in pixels.

    Attributes:
        first_answer: The seconds from the start of the process to its first output.
        peak_memory: The peak memory of the process so far, in bytes; None if the system does not report it.

    Raises:
        RuntimeError: If the process ends; the message contains the last line of its error output.
    """

    def __init__(self, artifact: Path | str, shape: Sequence[int]) -> None:
        self._name = Path(artifact).name
        # This is a file because a pipe that nobody reads would fill up.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        script = Path(__file__).with_name("inference_process.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script), str(artifact), *map(str, shape)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.peak_memory: int | None = None
        try:
            self.first_answer: float = self._said()["first_answer"]
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "ArtifactProcess":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        # The process may not have read its last request.
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._errors.close()

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # runtimes print messages of their own
                facts = json.loads(line)
                self.peak_memory = facts["peak_memory"]
                return facts
        status = self._process.wait()
        self._errors.seek(0)
        last = (self._errors.read().strip().splitlines() or [""])[-1]
        raise RuntimeError(f"{self._name} failed in a process of its own (exit status {status}): {last}")

    def ask(self, batch_size: int, calls: int) -> float:
        """Lets the process run a batch ``calls`` times, and returns the seconds of one run."""
        # If the process has died, `_said` reports the reason.
        with contextlib.suppress(BrokenPipeError):
            print(batch_size, calls, file=self._process.stdin, flush=True)
        return self._said()["seconds"]

    def calls(self, batch_size: int) -> int:
        """Returns the number of runs of a batch that take `SECONDS` together."""
        self.ask(batch_size, 1)
        return max(1, math.ceil(SECONDS / self.ask(batch_size, 1)))


def untrained_network(name: str, input_size: int | None) -> keras.Model:
    """Builds a network whose batch normalization has random moments, because folding the initial ones is trivial.

    Args:
        name: One of `list_models`.
        input_size: The height and width of the images, in pixels; None means the network's own size.
    """
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


def _write_plain(network: keras.Model, folder: Path, formats: Sequence[str]) -> dict[str, Path | str]:
    """Writes the network as Keras exports it, and returns the files by their names in the results."""
    paths: dict[str, Path | str] = {}
    with quiet_converters():
        for one in ("saved_model", *formats):
            paths[f"plain {_NAMES[one]}"] = path = folder / f"plain{SUFFIXES.get(one, '')}"
            network.export(str(path), format="tf_saved_model" if one == "saved_model" else one, verbose=False)
    if "openvino" in formats and set(BFLOAT16_FLAGS) & set(instruction_sets()):
        paths[f"plain {_NAMES['openvino']} bfloat16"] = _hinted(folder / "plain.xml", "bf16")
    return paths


def _hinted(path: Path, precision: str) -> Path:
    """Writes a copy of an OpenVINO file that tells `open_artifact` which precision to use, and returns its path."""
    openvino = runtime(path.suffix)
    graph = openvino.Core().read_model(str(path))
    graph.set_rt_info(precision, [CARD, "precision"])
    hinted = path.with_name(f"{path.stem}_{precision}{path.suffix}")
    openvino.save_model(graph, str(hinted), compress_to_fp16=False)
    return hinted


def _torchvision(name: str) -> dict[str, Path | str]:
    """Returns the corresponding network of torchvision, if it is installed, as `inference_process` takes it."""
    if name not in _TORCHVISION or importlib.util.find_spec("torchvision") is None:
        return {}
    return {f"torchvision {form}": f"torchvision:{_TORCHVISION[name]}:{form}" for form in _TORCHVISION_FORMS}


def _write_ours(
    network: keras.Model, folder: Path, formats: Sequence[str], precisions: Sequence[str]
) -> dict[str, Path | str]:
    """Writes the network as the build script does, and returns the files by their names in the results."""
    served = optimize_for_inference(serving_model(network))
    paths: dict[str, Path | str] = {_NAMES["saved_model"]: folder / "ours"}
    write(served, network.name, folder / "ours")
    for one in formats:
        for precision in precisions:
            if precision == "float32" or (one == "openvino" or (one, precision) == ("onnx", "int8")):
                words = _NAMES[one] if precision == "float32" else f"{_NAMES[one]} {precision}"
                paths[words] = path = folder / f"ours_{precision}{SUFFIXES[one]}"
                write(served, network.name, path, precision)
    return paths


def write(served: keras.Model, name: str, path: Path, precision: str = "float32") -> None:
    """Writes a network as the build script does; int8 is calibrated on noise.

    Args:
        served: The model that `serving_model` returns, optimized or not.
        name: The name of the network, one of `list_models`.
        path: A file, whose suffix determines the format, or a SavedModel's folder.
        precision: The precision of the arithmetic.
    """
    record = model_record(name)
    if path.suffix not in SUFFIXES.values():
        write_saved_model(served, path, preprocessing=record.preprocessing)
        return
    shape = served.input.shape[1:]
    card = Card(
        model=record.name,
        input_shape=shape,
        labels=class_names(record, served.output["probabilities"].shape[-1]),
        preprocessing=record.preprocessing,
    )
    noise = list(np.random.default_rng(0).uniform(-1, 1, (8, 1, *shape)).astype("float32"))
    write_artifact(served, path, card=card, precision=precision, calibration=noise)


def _shortest(artifacts: Sequence[str | Path]) -> list[str]:
    """Returns the names of the artifacts, or their paths if two have the same name."""
    names = [Path(artifact).name for artifact in artifacts]
    return names if len(set(names)) == len(names) else [str(artifact) for artifact in artifacts]


def _common_shape(artifacts: Sequence[str | Path], input_size: int | None) -> tuple[int, int, int]:
    shapes = {str(artifact): _shape_of(Path(artifact), input_size) for artifact in artifacts}
    first = next(iter(shapes.values()))
    if set(shapes.values()) != {first}:
        found = ", ".join(f"{path} {'x'.join(map(str, shape))}" for path, shape in shapes.items())
        raise ValueError(f"Artifacts to compare must have the same input size. Received: {found}")
    return first


def _shape_of(artifact: Path, input_size: int | None) -> tuple[int, int, int]:
    try:
        height, width, channels = Card.from_dict(read_artifact_card(artifact)).input_shape
    except ValueError:
        # An artifact that another tool exported has no card.
        if input_size is None or not artifact.exists():
            raise
        return input_size, input_size, 3
    return (height, width, channels) if input_size is None else (input_size, input_size, channels)


def _size(artifact: Path | str) -> int | None:
    if not isinstance(artifact, Path):
        return None
    weights = artifact.with_suffix(".bin")
    return tree_size(artifact) + (tree_size(weights) if artifact.suffix == ".xml" and weights.exists() else 0)


def _draw(comparisons: Sequence[InferenceComparison]) -> "Figure":
    """Draws the images per second by artifact and batch size, in one panel for each network."""
    from matplotlib.figure import Figure

    heights = [0.9 + 0.28 * len(comparison.speeds) for comparison in comparisons]
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    panels = figure.subplots(len(comparisons), squeeze=False, height_ratios=heights)[:, 0]
    for axes, comparison in zip(panels, comparisons, strict=True):
        names = [footprint.artifact for footprint in comparison.footprints]
        sizes = sorted({speed.batch_size for speed in comparison.speeds})
        height = 0.8 / len(sizes)
        for number, size in enumerate(sizes):
            own = {speed.artifact: speed.images_per_second for speed in comparison.speeds if speed.batch_size == size}
            places = np.arange(len(names)) + (number - (len(sizes) - 1) / 2) * height
            bars = axes.barh(places, [own[name] for name in names], height, label=f"batch {size}")
            axes.bar_label(bars, fmt="%.0f", padding=2, fontsize="small")
        axes.set_yticks(np.arange(len(names)), names, parse_math=False)
        axes.invert_yaxis()
        axes.margins(x=0.1)
        axes.set_xlabel("images/s")
        title = f"{comparison.model}, {comparison.input_shape[0]}x{comparison.input_shape[1]} pixels"
        axes.set_title(title, parse_math=False)
        axes.legend()
    return figure
