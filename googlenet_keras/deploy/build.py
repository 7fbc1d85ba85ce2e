"""Builds the artifacts, pictures and card of a model from its name, and writes all of them or none."""

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np

from googlenet_keras import describe
from googlenet_keras.deploy import verification
from googlenet_keras.deploy.artifacts import PRECISIONS, SUFFIXES, artifact_name, planned, write_artifact
from googlenet_keras.deploy.calibration import accuracy, calibration_images
from googlenet_keras.deploy.choice import Facts, available_formats, best, check_goal
from googlenet_keras.deploy.optimization import optimize_for_inference
from googlenet_keras.deploy.runtimes import CARD_FILE, EXTRAS
from googlenet_keras.deploy.signatures import check_servable, signatures, write_saved_model
from googlenet_keras.describe.pictures import PictureTooLargeError
from googlenet_keras.devices import choose_dtype, create_strategy
from googlenet_keras.files import Publication, output_folder, tree_size
from googlenet_keras.models import serving_model
from googlenet_keras.models.trained import Network, find_network, read_labels
from googlenet_keras.weights.cards import Card, package_versions
from googlenet_keras.weights.catalogue import file_digest
from googlenet_keras.weights.model_cards import model_card
from googlenet_keras.weights.published import find_published, weight_file

LABELS_FILE = "labels.txt"


@dataclass(frozen=True)
class Export:
    """The files that an export wrote.

    Attributes:
        saved_model: The SavedModel's folder; None if it was not asked for.
        picture: The diagram: a PNG file, or an SVG file if the PNG would be too large.
        architecture: The picture of the network's modules, a PNG file. The SVG file and the HTML page are beside it.
        card: The card, a JSON file.
        model_card: The card for readers, a Markdown file in the format of the Hugging Face Hub.
        artifacts: The files in other formats; the ``.bin`` file of an ``.xml`` file is beside it.
        strategy: The devices that the model was built on, in words.
        chosen: The comparison of the candidates that the artifact was chosen from, in words; empty if no artifact was
            chosen.
    """

    saved_model: Path | None
    picture: Path
    architecture: Path
    card: Path
    model_card: Path
    artifacts: tuple[Path, ...] = ()
    strategy: str = ""
    chosen: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of all files and folders of the export."""
        saved_models = () if self.saved_model is None else (self.saved_model,)
        weights = tuple(path.with_suffix(".bin") for path in self.artifacts if path.suffix == ".xml")
        architectures = [self.architecture.with_suffix(suffix) for suffix in (".png", ".svg", ".html")]
        return *saved_models, *self.artifacts, *weights, self.picture, *architectures, self.card, self.model_card

    def others(self) -> list[Path]:
        """Lists the paths of artifacts that this export does not have, but that an earlier one may have left."""
        folder, name = self.card.parent, self.card.stem
        pairs = [(one, precision) for one, precisions in PRECISIONS.items() for precision in precisions]
        everything = Export.at(folder, name, pairs)
        saved_models = [folder / name] if (folder / name / "saved_model.pb").exists() else []
        files = [path for path in everything.paths if path.suffix in (*EXTRAS, ".bin")]
        return [path for path in (*saved_models, *files) if path not in self.paths]

    @classmethod
    def at(cls, folder: Path, name: str, pairs: Sequence[tuple[str, str]] = (("saved_model", "float32"),)) -> "Export":
        """Returns the paths of an export in a folder.

        Args:
            folder: The folder.
            name: The network's name.
            pairs: The formats and precisions to write; see `planned`.
        """
        return cls(
            saved_model=folder / name if "saved_model" in dict(pairs) else None,
            picture=folder / f"{name}.png",
            architecture=folder / f"{name}_architecture.png",
            card=folder / f"{name}.json",
            model_card=folder / f"{name}.md",
            artifacts=tuple(folder / artifact_name(name, one, how) for one, how in pairs if one in SUFFIXES),
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
    optimize: bool = True,
    formats: Sequence[str] | None = None,
    precisions: Sequence[str] = ("float32",),
    optimize_for: str | None = None,
    calibration: str | None = None,
    data_dir: str | Path | None = None,
    serving_version: int | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda step: None,
) -> Export:
    """Builds a model and writes its artifacts, its pictures and its card, after they have been verified.

    Args:
        name: One of `list_models`; None takes it from the weight file, or means ``googlenet`` if there are no weights.
            For a ``.keras`` file of your own network, it names the network that yours is built on and whose
            preprocessing it uses.
        folder: The folder for ``NAME/``, ``NAME.png``, ``NAME_architecture.png``, ``.svg`` and ``.html``, ``NAME.json``
            and ``NAME.md``; it is created if it does not exist.
        weights: A weight file (see `load_weights`), the name of published weights, such as ``"fashion_mnist"`` of
            ``googlenet_bn``, or a ``.keras`` file; None keeps the initial weights, so the network is untrained.
        classes: The number of classes; None takes it from the weight file or from the labels, or else uses the model's
            own.
        input_shape: (height, width, channels) in pixels, with 1 or 3 channels; None takes it from the weight file, or
            else uses the model's own.
        labels: A text file with one class name per line; None uses the names from the weight file, or else the model's
            own names if their number fits, or else numbers.
        strategy: See `create_strategy`.
        dtype: The Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None means the global policy.
        aux_heads: Whether to build the auxiliary heads and return their outputs by name.
        optimize: Whether to optimize a float32 network with `optimize_for_inference`. Otherwise it is written as it was
            trained.
        formats: Some of ``"saved_model"``, ``"onnx"``, ``"litert"`` and ``"openvino"``; None means ``"saved_model"``,
            or, with ``optimize_for``, every format that supports all ``precisions`` and whose tools are installed.
        precisions: Some of ``"float32"``, ``"bfloat16"``, ``"float16"`` and ``"int8"``, for all files other than the
            SavedModel, whose precision is ``dtype``.
        optimize_for: ``"latency"``, ``"throughput"`` or ``"size"`` keeps only the artifact that is best on this
            machine; the card describes the others too. None keeps all artifacts.
        calibration: The dataset whose training images calibrate int8, and on whose evaluation split the accuracy of
            int8 is measured; see `open_dataset`. None means the dataset that the weights were trained on.
        data_dir: See `open_dataset`.
        serving_version: Writes the SavedModel to the folder ``NAME/VERSION``, where TensorFlow Serving looks for it.
        force: Whether to replace an export of the same name.
        report: Called with a few words when each step begins.

    Returns:
        The paths of the export, and the devices that it was built on.

    Raises:
        ValueError: If the arguments do not describe a model, contradict the card in the weight file, or ask for a
            format whose tools are not installed; in the last case the message names the extra.
        FileExistsError: If there is an export of the same name and ``force`` is False.
        OSError: If the folder cannot be written to.
        RuntimeError: If the outputs of an artifact differ from those of the model, the picture cannot be drawn, or
            Keras runs on a backend other than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "An export needs the TensorFlow backend: start Python with KERAS_BACKEND=tensorflow. "
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
    name, pairs = network.record.name, _planned(formats, precisions, optimize_for, serving_version)
    calibration = calibration or (network.card.dataset if network.card else None)
    _check(network, pairs, aux_heads=aux_heads, calibration=calibration)
    export = _checked(Export.at(folder, name, pairs), serving_version, force=force)
    home = folder if export.saved_model is None else export.saved_model.parent
    with contextlib.ExitStack() as stack:
        stack.enter_context(output_folder(folder))
        publication = stack.enter_context(Publication(folder, name))
        # A version is put in place last, because TensorFlow Serving loads it at once.
        versions = None
        if home != folder:
            stack.enter_context(output_folder(home))
            versions = stack.enter_context(Publication(home, str(serving_version)))
        fresh_process = stack.enter_context(verification.FreshProcess()) if export.saved_model else None
        drawing = stack.enter_context(ThreadPoolExecutor(1))
        placement, took = create_strategy(strategy)
        report(f"building the model on {took}")
        dtype = dtype and choose_dtype(dtype, placement).name
        with placement.scope():
            check_servable(network.input_shape)
            model = network.build(dtype=dtype, aux_heads=aux_heads)
            check_servable(model.input.shape[1:])
            _check_float32(model, export)
            writing = _Writing.of(network, model, optimize=optimize, report=report)

        report("drawing the pictures")
        aside = Export.at(publication.aside, name, pairs)
        picture = drawing.submit(_draw, model, aside, () if network.whole else network.record.endpoints)
        facts, differences = list[Facts](), None
        if fresh_process is not None and export.saved_model is not None:
            place = (versions or publication).aside / export.saved_model.name
            fact, differences = writing.saved_model(place, fresh_process)
            facts.append({"file": str(export.saved_model.relative_to(folder)), **fact})
        # Keras's plot_model and its converters must not run in two threads of one process at the same time.
        diagram = picture.result()
        facts += writing.artifacts(
            aside.artifacts, [precision for one, precision in pairs if one in SUFFIXES], calibration, data_dir
        )

        report("finishing the pictures and the card")
        card = _card(network, model, writing, {"strategy": took, "artifacts": facts}, differences)
        if optimize_for:
            export, choice = _chosen(export, aside, facts, pairs, optimize_for)
            card |= choice
        export = replace(export, picture=export.picture.with_suffix(diagram.suffix), strategy=took)
        aside.card.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        aside.model_card.write_text(
            model_card(writing.card, parameters=model.count_params(), file=_file_name(export, folder)), encoding="utf-8"
        )
        publication.publish()
        if versions is not None:
            versions.publish()
        for path in export.others():
            _remove(path)
    return export


def _planned(
    formats: Sequence[str] | None, precisions: Sequence[str], optimize_for: str | None, serving_version: int | None
) -> list[tuple[str, str]]:
    """Lists the artifacts to write, in the form that `planned` describes.

    Raises:
        ValueError: For the reasons that `planned` lists, if the goal is unknown, or if both a goal and a version are
            given.
    """
    if optimize_for is None:
        return planned(formats or ["saved_model"], precisions)
    check_goal(optimize_for)
    if serving_version is not None:
        raise ValueError(
            "--serving-version applies to a SavedModel only, and --optimize-for may choose another format: leave one "
            f"of them out. Received: {serving_version} and {optimize_for!r}"
        )
    return planned(formats or available_formats(precisions), precisions)


def _chosen(
    export: Export, written: Export, facts: Sequence[Facts], pairs: Sequence[tuple[str, str]], goal: str
) -> tuple[Export, dict[str, object]]:
    """Deletes all artifacts except the best, and returns the final export and the card's facts about the choice."""
    index, comparison = best(facts, goal)
    kept = Export.at(written.card.parent, written.card.stem, [pairs[index]])
    for path in {*written.paths} - {*kept.paths}:
        _remove(path)
    chosen = Export.at(export.card.parent, export.card.stem, [pairs[index]])
    told: dict[str, object] = {"artifacts": [facts[index]], "chosen": {"for": goal, "among": facts}}
    return replace(chosen, chosen=comparison), told


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _check(network: Network, pairs: Sequence[tuple[str, str]], *, aux_heads: bool, calibration: str | None) -> None:
    """Raises an error before any work is done if the arguments cannot make an export.

    Raises:
        ValueError: If auxiliary heads are requested and the network does not have them, or int8 is requested without a
            dataset to calibrate it.
    """
    if aux_heads and not network.record.aux_heads:
        raise ValueError(
            f"Only networks with auxiliary heads can be built with them. Received: {network.record.name!r}"
        )
    if calibration is None and any(precision == "int8" for _, precision in pairs):
        raise ValueError(
            "int8 is calibrated on real images: name a dataset or folder:PATH (--calibration). Received: none"
        )


def _checked(export: Export, serving_version: int | None, *, force: bool) -> Export:
    """Returns an export with its final paths, after checking that no artifact of an earlier export is there.

    Raises:
        ValueError: If the version is negative.
        FileExistsError: If there is such an artifact and ``force`` is False, or if a SavedModel without a version is in
            the folder that is to contain the versions.
    """
    if export.saved_model is not None and serving_version is not None:
        if serving_version < 0:
            raise ValueError(f"A version for TensorFlow Serving must be 0 or more. Received: {serving_version}")
        if (export.saved_model / "saved_model.pb").exists():
            raise FileExistsError(
                f"There is a SavedModel without a version; move it away first: {str(export.saved_model)!r}"
            )
        export = replace(export, saved_model=export.saved_model / str(serving_version))
    there = [path for path in (*export.paths, *export.others()) if path.exists()]
    taken = [path for path in there if path.is_dir() or path.suffix in EXTRAS]
    if taken and not force:
        raise FileExistsError(f"There is an export already; use --force to replace it: {str(taken[0])!r}")
    return export


@dataclass(frozen=True, kw_only=True)
class _Writing:
    """Writes the artifacts of a model and verifies them.

    Attributes:
        network: The network that the model was built from.
        served: The model that `serving_model` returns, with which every artifact is compared.
        written: The model that is written: ``served``, optimized or not.
        saved: A sentence about the savings of the optimization; None if the model is not optimized.
        labels: The names of the classes.
        card: The card that is stored in every artifact.
        dtype: The name of the model's dtype policy.
        questions: The inputs of the verification; see `questions_and_answers`.
        expected: The model's outputs for these inputs; see `questions_and_answers`.
        report: Called with a few words when each step begins.
    """

    network: Network
    served: keras.Model
    written: keras.Model
    saved: str | None
    labels: Sequence[str]
    card: Card
    dtype: str
    questions: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    report: Callable[[str], None]

    @classmethod
    def of(cls, network: Network, model: keras.Model, *, optimize: bool, report: Callable[[str], None]) -> "_Writing":
        labels = network.labels_of(model)
        served = serving_model(model)
        saved: list[str] = []
        questions, expected = verification.questions_and_answers(served, network.preprocessing)
        optimize = optimize and _in_float32(model)
        return cls(
            network=network,
            served=served,
            written=optimize_for_inference(served, report=saved.append) if optimize else served,
            saved=saved[0] if saved else None,
            labels=labels,
            card=_trained(network, model, labels),
            dtype=_dtype(model),
            questions=questions,
            expected=expected,
            report=report,
        )

    @property
    def verified_with(self) -> dict[str, object]:
        """The photograph and the tolerance of the verification, and the model's class for the photograph."""
        best = int(np.argmax(self.expected["serve_bytes/1/probabilities"]))
        return {
            "photograph": verification.PHOTOGRAPH,
            "tolerance": verification.TOLERANCE,
            "best_guess": self.labels[best],
        }

    def saved_model(
        self, place: Path, fresh_process: verification.FreshProcess
    ) -> tuple[dict[str, object], dict[str, float]]:
        """Writes and verifies the SavedModel; returns facts for the card, and the largest difference of each output."""
        self.report("writing the SavedModel")
        texts = {
            LABELS_FILE: "\n".join(self.labels) + "\n",
            CARD_FILE: json.dumps(self.card.as_dict(), ensure_ascii=False),
        }
        assets = [place.with_name(name) for name in texts]
        for asset in assets:
            asset.write_text(texts[asset.name], encoding="utf-8")
        write_saved_model(self.written, place, preprocessing=self.network.preprocessing, assets=assets)
        for asset in assets:
            asset.unlink()
        self.report("verifying it in a fresh process")
        fresh_process.load(place)
        answers = fresh_process.ask(self.questions)
        facts = {"format": "saved_model", "precision": self.dtype, "bytes": tree_size(place)}
        return facts | verification.timings(answers), verification.differences(self.expected, answers)

    def artifacts(
        self, paths: Sequence[Path], precisions: Sequence[str], calibration: str | None, data_dir: str | Path | None
    ) -> list[dict[str, object]]:
        """Writes and verifies the files of other runtimes; returns facts about each of them for the card."""
        images: Sequence[np.ndarray] = ()
        if "int8" in precisions:
            self.report("reading the images that int8 is calibrated on")
            shape = self.served.input.shape[1:]
            images = calibration_images(str(calibration), self.network, shape, data_dir=data_dir)
        found, before = [], None
        for path, precision in zip(paths, precisions, strict=True):
            self.report(f"writing {path.name}")
            write_artifact(self.written, path, card=self.card, precision=precision, calibration=images)
            self.report(f"verifying {path.name} in a fresh process")
            asked = self.questions, self.expected
            if precision == "int8":
                asked = verification.questions_about(self.served, images)
            facts = verification.verify_artifact(path, *asked, precision)
            if precision == "int8" and self.network.weights is not None:
                self.report(f"measuring the accuracy of {path.name}")
                before = before or accuracy(self.network.weights, self.network, str(calibration), data_dir=data_dir)
                after = accuracy(path, self.network, str(calibration), data_dir=data_dir)
                facts["accuracy"] = {**after, "before": before["accuracy"]}
            format_name = next(name for name, suffix in SUFFIXES.items() if suffix == path.suffix)
            found.append({"file": path.name, "format": format_name, "precision": precision, **facts})
        return found


def _check_float32(model: keras.Model, export: Export) -> None:
    if export.artifacts and not _in_float32(model):
        raise ValueError(
            "The formats other than saved_model are written from a float32 network: leave --dtype out, and give "
            f"--precision. Received: {_dtype(model)}"
        )


def _in_float32(model: keras.Model) -> bool:
    return {layer.compute_dtype for layer in model.layers if layer.weights} == {"float32"}


def _file_name(export: Export, folder: Path) -> str:
    """Returns the path that the model card names: that of the network's file, relative to the folder."""
    return str((export.saved_model or export.artifacts[0]).relative_to(folder))


def _dtype(model: keras.Model) -> str:
    return next(layer for layer in model.layers if layer.weights).dtype_policy.name


def _draw(model: keras.Model, export: Export, stages: Sequence[str]) -> Path:
    """Draws the pictures and returns the path of the diagram: an SVG file if a legible bitmap would be too large."""
    for path in (export.architecture, export.architecture.with_suffix(".svg")):
        describe.plot_architecture(model, path)
    describe.write_architecture_page(model, export.architecture.with_suffix(".html"), stages=stages)
    try:
        describe.plot_model(model, export.picture)
    except PictureTooLargeError:
        diagram = export.picture.with_suffix(".svg")
        describe.plot_model(model, diagram)
        return diagram
    return export.picture


def _card(
    network: Network,
    model: keras.Model,
    writing: _Writing,
    facts: Mapping[str, object],
    differences: Mapping[str, float] | None,
) -> dict[str, object]:
    channels, preprocessing = model.input.shape[-1], network.preprocessing
    return {
        "name": network.record.name,
        "description": network.record.description,
        "weights": _weights(network),
        "parameters": model.count_params(),
        "multiply_adds": describe.count_multiply_adds(model),
        "dtype": _dtype(model),
        "input": {
            "shape": model.input.shape[1:],
            "lowest": preprocessing(np.full(channels, 0, "uint8")).tolist(),
            "highest": preprocessing(np.full(channels, 255, "uint8")).tolist(),
            "preprocessing": preprocessing.as_dict(),
        },
        "signatures": {
            name: {"shape": signature.input.shape.as_list(), "dtype": signature.input.dtype.name}
            for name, signature in signatures(writing.served, preprocessing).items()
        },
        "labels": writing.labels,
        "versions": package_versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "optimization": writing.saved,
        **facts,
        "verification": {**writing.verified_with, "largest_difference": differences},
    }


def _trained(network: Network, model: keras.Model, names: Sequence[str]) -> Card:
    """Returns the card of the weights; if they have none, a card with the facts that are known."""
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
