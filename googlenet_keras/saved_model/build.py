"""From a model's name to its SavedModel, its picture and its card, all of them or none."""

import hashlib
import json
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from googlenet_keras import __version__, describe
from googlenet_keras.describe.pictures import PictureTooLargeError
from googlenet_keras.devices import choose_dtype, create_strategy
from googlenet_keras.files import Publication
from googlenet_keras.models import ModelRecord, model_record
from googlenet_keras.saved_model import verification
from googlenet_keras.saved_model.networks import build_network, class_names
from googlenet_keras.saved_model.signatures import serving_model, signatures, write_saved_model
from googlenet_keras.weights.published import find_published

LABELS_FILE = "labels.txt"


@dataclass(frozen=True)
class Export:
    """What an export left behind.

    Attributes:
        saved_model: The SavedModel's folder.
        picture: The diagram, a PNG, or an SVG where the PNG would be too large.
        architecture: The picture of the network's modules, a PNG; beside it is the same as SVG.
        card: The card, a JSON file.
        strategy: In words, the devices that the model was built on.
    """

    saved_model: Path
    picture: Path
    architecture: Path
    card: Path
    strategy: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All places."""
        architectures = (self.architecture, self.architecture.with_suffix(".svg"))
        return self.saved_model, self.picture, *architectures, self.card

    @classmethod
    def at(cls, folder: Path, name: str) -> "Export":
        """Where an export of that name is, or is to be, below a folder."""
        picture, architecture, card = (folder / f"{name}{end}" for end in (".png", "_architecture.png", ".json"))
        return cls(folder / name, picture, architecture, card)


def export_model(
    name: str = "googlenet",
    *,
    folder: str | Path = "saved_models",
    weights: str | Path | None = None,
    classes: int | None = None,
    input_shape: tuple[int, int, int] | None = None,
    labels: str | Path | None = None,
    strategy: str = "auto",
    dtype: str | None = None,
    aux_heads: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda step: None,
) -> Export:
    """Builds a model and writes its SavedModel, its pictures and its card, once they are known to be right.

    Args:
        name: One of `list_models`.
        folder: Where ``NAME/``, ``NAME.png``, ``NAME_architecture.png`` and ``.svg``, and ``NAME.json`` go; it is
            made if need be.
        weights: A weight file (see `load_weights`), or the name of published weights, such as ``"fashion_mnist"`` of
            ``googlenet_bn``; None leaves the network as it is initialized, untrained.
        classes: Number of classes; None is as many as there are labels, or the published weights' or the model's own.
        input_shape: (height, width, channels) in pixels, 1 or 3 channels; None is the published weights' or the
            model's own.
        labels: A text file of one class name per line; None is the model's own names where their number fits, and
            numbers otherwise.
        strategy: See `create_strategy`.
        dtype: Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None is the global one.
        aux_heads: Whether the auxiliary heads are built, and answered by name.
        force: Whether an export of the same name is replaced.
        report: Called with a few words as each step begins.

    Returns:
        Where everything is, and on what it was built.

    Raises:
        ValueError: If an argument makes no model.
        FileExistsError: If there is such an export, and not ``force``.
        OSError: If the folder cannot be written to.
        RuntimeError: If the SavedModel does not answer as the model does, the picture cannot be drawn, or Keras runs
            on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "A SavedModel is TensorFlow's: start Python with KERAS_BACKEND=tensorflow. "
            f"Received: {keras.backend.backend()!r}"
        )
    folder = Path(folder)
    record = model_record(name, weights)
    names = class_names(record, labels, classes)
    export = Export.at(folder, name)
    if export.saved_model.exists() and not force:
        raise FileExistsError(f"There is an export already; use --force to replace it: {str(export.saved_model)!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Publication(folder, name) as publication,
        verification.FreshProcess() as fresh_process,
        ThreadPoolExecutor(1) as drawing,
    ):
        report("building the model")
        placement, took = create_strategy(strategy)
        report(f"building the model on {took}")
        dtype = dtype and choose_dtype(dtype, placement).name
        with placement.scope():
            model, names = build_network(
                record, names, weights=weights, input_shape=input_shape, dtype=dtype, aux_heads=aux_heads
            )
            served = serving_model(model)

        report("drawing the pictures")
        aside = Export.at(publication.aside, name)
        picture = drawing.submit(_draw, model, aside)

        report("writing the SavedModel")
        labels_file = publication.aside / LABELS_FILE
        labels_file.write_text("\n".join(names) + "\n")
        write_saved_model(served, aside.saved_model, preprocessing=record.preprocessing, labels_file=labels_file)
        labels_file.unlink()

        report("verifying it in a fresh process")
        fresh_process.load(aside.saved_model)
        questions, expected = verification.questions_and_answers(served, record.preprocessing)
        differences = verification.differences(expected, fresh_process.ask(questions))

        report("finishing the pictures and the card")
        export = replace(export, picture=export.picture.with_suffix(picture.result().suffix))
        card = {
            **_card(record, model, served, names, weights),
            "strategy": took,
            "verification": {
                "photograph": verification.PHOTOGRAPH,
                "tolerance": verification.TOLERANCE,
                "largest_difference": differences,
                "best_guess": names[int(np.argmax(expected["serve_bytes/1/probabilities"]))],
            },
        }
        aside.card.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        publication.publish()
    return replace(export, strategy=took)


def _draw(model: keras.Model, export: Export) -> Path:
    """Draws the pictures and returns the diagram's path: an SVG where a legible bitmap would be too large."""
    for path in (export.architecture, export.architecture.with_suffix(".svg")):
        describe.plot_architecture(model, path)
    try:
        describe.plot_model(model, export.picture)
    except PictureTooLargeError:
        diagram = export.picture.with_suffix(".svg")
        describe.plot_model(model, diagram)
        return diagram
    return export.picture


def _card(
    record: ModelRecord, model: keras.Model, served: keras.Model, names: list[str], weights: str | Path | None
) -> dict[str, Any]:
    channels = model.input.shape[-1]
    return {
        "name": record.name,
        "description": record.description,
        "weights": _weights(record, weights),
        "parameters": model.count_params(),
        "multiply_adds": describe.count_multiply_adds(model),
        "dtype": next(layer for layer in model.layers if layer.weights).dtype_policy.name,
        "input": {
            "shape": model.input.shape[1:],
            "lowest": record.preprocessing(np.full(channels, 0, "uint8")).tolist(),
            "highest": record.preprocessing(np.full(channels, 255, "uint8")).tolist(),
            "preprocessing": record.preprocessing.as_dict(),
        },
        "signatures": {
            name: {"shape": signature.input.shape.as_list(), "dtype": signature.input.dtype.name}
            for name, signature in signatures(served, record.preprocessing).items()
        },
        "labels": names,
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in ("keras", "tensorflow", "numpy")},
            "googlenet_keras": __version__,
        },
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _weights(record: ModelRecord, weights: str | Path | None) -> dict[str, Any] | str:
    if weights is None:
        return "untrained: as initialized"
    if published := find_published(record.name, weights):
        facts = ("name", "file", "sha256", "source", "licence", "images", "accuracy")
        return {fact: getattr(published, fact) for fact in facts}
    return {"file": Path(weights).name, "sha256": hashlib.sha256(Path(weights).read_bytes()).hexdigest()}
