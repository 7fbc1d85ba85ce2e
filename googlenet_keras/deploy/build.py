"""From a model's name to its SavedModel, its picture and its card, all of them or none."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from googlenet_keras import describe
from googlenet_keras.deploy import verification
from googlenet_keras.deploy.signatures import check_servable, signatures, write_saved_model
from googlenet_keras.describe.pictures import PictureTooLargeError
from googlenet_keras.devices import choose_dtype, create_strategy
from googlenet_keras.files import Publication, output_folder
from googlenet_keras.models import serving_model
from googlenet_keras.models.trained import Network, find_network, read_labels
from googlenet_keras.weights.cards import Card, package_versions
from googlenet_keras.weights.catalogue import file_digest
from googlenet_keras.weights.model_cards import model_card
from googlenet_keras.weights.published import find_published, weight_file

LABELS_FILE = "labels.txt"


@dataclass(frozen=True)
class Export:
    """What an export left behind.

    Attributes:
        saved_model: The SavedModel's folder.
        picture: The diagram, a PNG, or an SVG where the PNG would be too large.
        architecture: The picture of the network's modules, a PNG; beside it is the same as SVG.
        card: The card, a JSON file.
        model_card: The same for readers, Markdown as the Hugging Face Hub has it.
        strategy: In words, the devices that the model was built on.
    """

    saved_model: Path
    picture: Path
    architecture: Path
    card: Path
    model_card: Path
    strategy: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """All places."""
        architectures = (self.architecture, self.architecture.with_suffix(".svg"))
        return self.saved_model, self.picture, *architectures, self.card, self.model_card

    @classmethod
    def at(cls, folder: Path, name: str) -> "Export":
        """Where an export of that name is, or is to be, below a folder."""
        return cls(
            saved_model=folder / name,
            picture=folder / f"{name}.png",
            architecture=folder / f"{name}_architecture.png",
            card=folder / f"{name}.json",
            model_card=folder / f"{name}.md",
        )


def export_model(
    name: str | None = None,
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
        name: One of `list_models`; None is what the weight file says, or ``googlenet`` where there are no weights. For
            a ``.keras`` file of a network of one's own it is the one that this is built on, whose preprocessing it has.
        folder: Where ``NAME/``, ``NAME.png``, ``NAME_architecture.png`` and ``.svg``, ``NAME.json`` and ``NAME.md`` go;
            it is made if need be.
        weights: A weight file (see `load_weights`), the name of published weights, such as ``"fashion_mnist"`` of
            ``googlenet_bn``, or a ``.keras`` file; None leaves the network as it is initialized, untrained.
        classes: Number of classes; None is the weight file's, as many as there are labels, or the model's own.
        input_shape: (height, width, channels) in pixels, 1 or 3 channels; None is the weight file's or the model's own.
        labels: A text file of one class name per line; None is the weight file's names, the model's own where their
            number fits, and numbers otherwise.
        strategy: See `create_strategy`.
        dtype: Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None is the global one.
        aux_heads: Whether the auxiliary heads are built, and answered by name.
        force: Whether an export of the same name is replaced.
        report: Called with a few words as each step begins.

    Returns:
        Where everything is, and on what it was built.

    Raises:
        ValueError: If an argument makes no model, or contradicts the card in the weight file.
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
    network = find_network(
        name or ("googlenet" if weights is None else None),
        weights,
        classes=classes,
        input_shape=input_shape,
        labels=None if labels is None else read_labels(labels),
    )
    name = network.record.name
    if aux_heads and not network.record.aux_heads:
        raise ValueError(f"Only networks with auxiliary heads can be built with them. Received: {name!r}")
    export = Export.at(folder, name)
    if export.saved_model.exists() and not force:
        raise FileExistsError(f"There is an export already; use --force to replace it: {str(export.saved_model)!r}")
    with (
        output_folder(folder),
        Publication(folder, name) as publication,
        verification.FreshProcess() as fresh_process,
        ThreadPoolExecutor(1) as drawing,
    ):
        report("building the model")
        placement, took = create_strategy(strategy)
        report(f"building the model on {took}")
        dtype = dtype and choose_dtype(dtype, placement).name
        with placement.scope():
            check_servable(network.input_shape)
            model = network.build(dtype=dtype, aux_heads=aux_heads)
            check_servable(model.input.shape[1:])
            names = network.labels_of(model)
            served = serving_model(model)

        report("drawing the pictures")
        aside = Export.at(publication.aside, name)
        picture = drawing.submit(_draw, model, aside)

        report("writing the SavedModel")
        labels_file = publication.aside / LABELS_FILE
        labels_file.write_text("\n".join(names) + "\n", encoding="utf-8")
        write_saved_model(served, aside.saved_model, preprocessing=network.preprocessing, labels_file=labels_file)
        labels_file.unlink()

        report("verifying it in a fresh process")
        fresh_process.load(aside.saved_model)
        questions, expected = verification.questions_and_answers(served, network.preprocessing)
        differences = verification.differences(expected, fresh_process.ask(questions))

        report("finishing the pictures and the card")
        export = replace(export, picture=export.picture.with_suffix(picture.result().suffix))
        card = {
            **_card(network, model, served, names),
            "strategy": took,
            "verification": {
                "photograph": verification.PHOTOGRAPH,
                "tolerance": verification.TOLERANCE,
                "largest_difference": differences,
                "best_guess": names[int(np.argmax(expected["serve_bytes/1/probabilities"]))],
            },
        }
        aside.card.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        text = model_card(_trained(network, model, names), parameters=model.count_params(), file=name)
        aside.model_card.write_text(text, encoding="utf-8")
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


def _card(network: Network, model: keras.Model, served: keras.Model, names: Sequence[str]) -> dict[str, object]:
    channels, preprocessing = model.input.shape[-1], network.preprocessing
    return {
        "name": network.record.name,
        "description": network.record.description,
        "weights": _weights(network),
        "parameters": model.count_params(),
        "multiply_adds": describe.count_multiply_adds(model),
        "dtype": next(layer for layer in model.layers if layer.weights).dtype_policy.name,
        "input": {
            "shape": model.input.shape[1:],
            "lowest": preprocessing(np.full(channels, 0, "uint8")).tolist(),
            "highest": preprocessing(np.full(channels, 255, "uint8")).tolist(),
            "preprocessing": preprocessing.as_dict(),
        },
        "signatures": {
            name: {"shape": signature.input.shape.as_list(), "dtype": signature.input.dtype.name}
            for name, signature in signatures(served, preprocessing).items()
        },
        "labels": names,
        "versions": package_versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _trained(network: Network, model: keras.Model, names: Sequence[str]) -> Card:
    """What is known of the network's training."""
    if network.card is not None:
        return network.card
    return Card(
        model=network.record.name,
        input_shape=model.input.shape[1:],
        labels=tuple(names),
        preprocessing=network.preprocessing,
        source="untrained: as initialized" if network.weights is None else Path(network.weights).name,
    )


def _weights(network: Network) -> dict[str, object] | str:
    if network.weights is None:
        return "untrained: as initialized"
    published = find_published(network.weights, network.record.name)
    file = weight_file(network.weights, network.record.name)
    facts: dict[str, object] = {"name": published.name} if published else {}
    facts |= {"file": file.name, "sha256": file_digest(file)}
    if network.card:
        told = ("source", "licence", "images", "dataset", "recipe", "accuracy", "versions")
        facts |= {fact: getattr(network.card, fact) for fact in told}
    return facts
