"""Evaluates a trained model, or an ensemble of several, on a split of a dataset."""

import json
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.data import Batches, Dataset, open_dataset, trained_split
from googlenet_keras.deploy.runtimes import is_artifact, open_artifact, read_artifact_card
from googlenet_keras.devices import choose_dtype
from googlenet_keras.evaluation.crops import CROPS
from googlenet_keras.evaluation.pictures import plot_confusion
from googlenet_keras.evaluation.scores import Scores, Tally
from googlenet_keras.files import Publication
from googlenet_keras.images import Preprocessing, change_channels
from googlenet_keras.models import model_record, serving_model
from googlenet_keras.models.trained import Network, find_network, trained_preprocessing
from googlenet_keras.weights import Card

# A function from preprocessed float32 images (batch, height, width, channels) to probabilities (batch, classes).
Answer = Callable[[np.ndarray], np.ndarray]

RESULTS_FILE, PICTURE_FILE = "evaluation.json", "confusion.png"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The results and the settings of an evaluation.

    Attributes:
        model: The name of the network.
        weights: The weight files or artifacts whose probabilities were averaged.
        dataset: The name of the dataset, or ``folder:PATH``.
        split: The split of the dataset.
        skipped: The image files that cannot be used and were left out, with the reason for each.
        input_size: Height and width of the network's input, in pixels.
        crops: The number of crops of each image whose probabilities were averaged.
        dtype: The Keras dtype policy, or ``as in NAME`` for an artifact.
        scores: The scores of the predictions.
    """

    model: str
    weights: tuple[str, ...]
    dataset: str
    split: str
    skipped: Mapping[str, str]
    input_size: int
    crops: int
    dtype: str
    scores: Scores

    def as_dict(self) -> dict[str, Any]:
        """Returns the settings and the scores in one dictionary, for JSON."""
        settings = asdict(self)
        return settings | settings.pop("scores")

    def save(self, folder: str | Path) -> None:
        """Writes ``evaluation.json`` and ``confusion.png``; if one fails, neither is written.

        Args:
            folder: The folder to write to; it is created if it does not exist.

        Raises:
            OSError: If the folder cannot be written to.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with Publication(folder, "evaluation") as publication:
            (publication.aside / RESULTS_FILE).write_text(json.dumps(self.as_dict(), ensure_ascii=False) + "\n")
            title = f"{self.model}, {self.dataset} {self.split}: top-1 {self.scores.top1:.2%}"
            plot_confusion(self.scores, publication.aside / PICTURE_FILE, title=title)
            publication.publish()


def evaluate(
    name: str | None,
    weights: Sequence[str | Path],
    *,
    dataset: str | None = None,
    data_dir: str | Path | None = None,
    split: str | None = None,
    batch_size: int = 128,
    input_size: int | None = None,
    dtype: str | None = None,
    crops: int = 1,
    max_bad: int = 10,
    report: Callable[[int, int], None] = lambda done, steps: None,
) -> Evaluation:
    """Measures how well a model classifies the images of a split.

    By default it uses one crop per image, as the evaluation during training and an exported model do. The probabilities
    of several crops, and of several weight files, are averaged. Auxiliary heads in a weight file are ignored.

    Args:
        name: One of `list_models`; None takes the name from the weight files.
        weights: Weight files of that model (see `load_weights`), names of published weights, or artifacts of
            `export_model`, each of which runs in its own runtime. Several of them form an ensemble.
        dataset: See `open_dataset`; None means the dataset that the first card names. It may have only some of the
            network's classes, because the classes are matched by their names.
        data_dir: See `open_dataset`.
        split: The split in the notation of TensorFlow Datasets, such as ``"test"`` or ``"train[90%:]"``; None means the
            split that the training was evaluated on, or ``"test"``.
        batch_size: The number of crops in a batch; a batch contains at least the crops of one image.
        input_size: Height and width of the network's input, in pixels; None means the size in the weight file, or else
            the network's default.
        dtype: A Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None means the global policy. It must be None
            for artifacts and ``.keras`` files.
        crops: The number of crops per image: 1, 10 (see `ten_crops`) or 144 (see `paper_crops`).
        max_bad: See `open_dataset`.
        report: A function that is called with the number of finished steps and the number of all steps, before the
            first step and after each step.

    Returns:
        The results of the evaluation.

    Raises:
        ValueError: If an argument is invalid or contradicts a card, the model or the data is not available, the
            networks of an ensemble differ in input shape, classes or preprocessing, or the weights do not fit.
        RuntimeError: If a probability is NaN or infinite, or if Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "Evaluation needs the TensorFlow backend: start Python with KERAS_BACKEND=tensorflow. "
            f"Received: {keras.backend.backend()!r}"
        )
    if crops not in (1, *CROPS):
        raise ValueError(f"The number of crops must be one of 1, {', '.join(map(str, CROPS))}. Received: {crops}")
    for what, value in (("batch size", batch_size), ("input size", input_size)):
        if value is not None and value < 1:
            raise ValueError(f"The {what} must be at least 1. Received: {value}")
    if not weights:
        raise ValueError("At least one weight file is needed. Received: none")
    dtype = dtype and choose_dtype(dtype).name
    networks = [_find(name, file, dtype) for file in weights]
    card = networks[0].card
    dataset = dataset or (card.dataset if card else None)
    if dataset is None:
        raise ValueError(
            f"The weight file does not name the dataset of its training: give a dataset. Received: {weights[0]}"
        )
    data = open_dataset(dataset, data_dir=data_dir, max_bad=max_bad)
    part = data.split(split or trained_split(data, ((card and card.recipe) or {}).get("validation_split", "test")))
    opened = [_open(_for_data(network, data, input_size), dtype) for network in networks]
    for one in opened[1:]:
        _check_alike(one, opened[0])
    first = opened[0]
    labels, preprocessing = first.labels, first.preprocessing
    size, _, channels = first.shape
    if crops == 1:
        batches = Batches(
            part,
            batch_size=batch_size,
            input_size=size,
            preprocessing=preprocessing,
            channels=channels,
            training=False,
        )
        elements, steps = batches.epoch(0), batches.steps
    else:
        images = max(1, batch_size // crops)
        elements = (
            _crops(part.images(), partial(CROPS[crops], size=size), preprocessing, channels).batch(images).prefetch(2)
        )
        steps = math.ceil(part.size / images)
    places = tf.constant(_places(data, labels))
    elements = elements.map(lambda batch: {**batch, "label": tf.gather(places, batch["label"])})
    return Evaluation(
        model=first.name,
        weights=tuple(map(str, weights)),
        dataset=data.name,
        split=part.name,
        skipped=dict(part.bad),
        input_size=size,
        crops=crops,
        dtype=first.dtype,
        scores=_score([one.answer for one in opened], first.shape, elements, labels, lambda done: report(done, steps)),
    )


evaluate_model = evaluate  # The former name.


def _for_data(network: Network, data: Dataset, input_size: int | None) -> Network:
    """Adapts a network without a card to the images of the dataset; a card already defines the images."""
    if network.card is None:
        height, width, _ = network.record.input_shape
        size = (height, width) if input_size is None else (input_size, input_size)
        return replace(
            network,
            input_shape=None if network.whole and input_size is None else (*size, data.channels),
            labels=data.label_names,
            preprocessing=trained_preprocessing(network.record, whole_images=data.small),
        )
    if input_size is not None and (input_size, input_size) != network.card.input_shape[:2]:
        raise ValueError(
            f"The card of {str(network.weights)!r} says input shape {network.input_shape}; leave the input size out or "
            f"give the same. Received: {input_size}"
        )
    return network


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """A network that is ready to classify images.

    Attributes:
        name: The name of the network.
        file: The weight file or artifact of the network.
        shape: (height, width, channels) of the network's input.
        labels: The names of the classes.
        preprocessing: The conversion of pixels to the network's input.
        dtype: The Keras dtype policy, or ``as in NAME`` for an artifact.
        answer: The function that computes the probabilities.
    """

    name: str
    file: str | Path | None
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    dtype: str
    answer: Answer


def _find(name: str | None, file: str | Path, dtype: str | None) -> Network:
    """Returns a network as `find_network` does, but also accepts artifacts."""
    if not is_artifact(file):
        return find_network(name, file)
    card = Card.from_dict(read_artifact_card(file))
    card.check(file, model=name)
    if dtype is not None:
        raise ValueError(
            f"The precision of an artifact is fixed; do not give a dtype. Received: {dtype} for {str(file)!r}"
        )
    return Network(
        record=model_record(card.model),
        weights=file,
        card=card,
        input_shape=card.input_shape,
        labels=card.labels,
        preprocessing=card.preprocessing,
    )


def _open(network: Network, dtype: str | None) -> _Opened:
    common: dict[str, Any] = {
        "name": network.record.name,
        "file": network.weights,
        "preprocessing": network.preprocessing,
    }
    if network.card is not None and network.weights is not None and is_artifact(network.weights):
        ask = open_artifact(network.weights)
        return _Opened(
            **common,
            shape=network.card.input_shape,
            labels=network.card.labels,
            dtype=f"as in {Path(network.weights).name}",
            answer=lambda images: ask(images)["probabilities"],
        )
    model = network.build(dtype=dtype)
    return _Opened(
        **common,
        shape=model.input.shape[1:],
        labels=network.labels_of(model),
        dtype=model.dtype_policy.name if network.whole else dtype or keras.config.dtype_policy().name,
        answer=_answer_of(_probabilities(model)),
    )


def _check_alike(one: _Opened, first: _Opened) -> None:
    """Raises an error if two networks of an ensemble differ in their inputs or classes.

    Raises:
        ValueError: If the input shape, the classes or the preprocessing differ.
    """
    for what, mine, other in (
        ("input shape", one.shape, first.shape),
        ("classes", one.labels, first.labels),
        ("preprocessing", one.preprocessing, first.preprocessing),
    ):
        if mine != other:
            raise ValueError(
                f"The networks of an ensemble must have the same {what}. Received: {mine} of {str(one.file)!r}, "
                f"and {other} of {str(first.file)!r}"
            )


def _places(data: Dataset, labels: Sequence[str]) -> list[int]:
    """Returns the positions of the dataset's classes among the network's classes.

    Raises:
        ValueError: If the network does not have one of the classes.
    """
    unknown = [label for label in data.label_names if label not in labels]
    if unknown:
        raise ValueError(
            f"The network does not know the class {unknown[0]!r} of {data.name} (unknown classes: {len(unknown)}); "
            f"it knows {textwrap.shorten(', '.join(labels), 200, placeholder=' ...')}. Received: {data.name!r}"
        )
    return [labels.index(label) for label in data.label_names]


def _probabilities(model: keras.Model) -> keras.Model:
    """Returns a model that outputs the probabilities of the classes, whether or not ``model`` ends in a softmax."""
    served = serving_model(model)
    return keras.Model(served.input, served.output["probabilities"], name=model.name)


def score_models(
    models: Sequence[keras.Model],
    batches: Iterable[Mapping[str, tf.Tensor]],
    label_names: Sequence[str],
    *,
    report: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Evaluates the averaged probabilities of models on any batches.

    Args:
        models: Models that return probabilities (batch, classes) and have the same input shape.
        batches: The batches to evaluate on. Each has ``image``, preprocessed float32 (examples, height, width,
            channels), or (examples, crops, height, width, channels), whose crops are averaged too; ``label``, integers
            (examples,); and ``weight`` (examples,), where examples of weight 0 do not count.
        label_names: The names of the classes.
        report: A function that is called with the number of finished batches, before the first batch and after each
            batch.

    Returns:
        The scores of the predictions.

    Raises:
        ValueError: If there are no examples.
        RuntimeError: If a probability is NaN or infinite.
    """
    return _score(list(map(_answer_of, models)), models[0].input.shape[1:], batches, label_names, report)


def _answer_of(model: keras.Model) -> Answer:
    """Returns a function that computes a model's probabilities in a graph that is traced once."""

    @tf.function(input_signature=[tf.TensorSpec(model.input.shape, tf.float32)], autograph=False)
    def answer(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    return lambda images: answer(images).numpy()


def _score(
    answers: Sequence[Answer],
    shape: Sequence[int],
    batches: Iterable[Mapping[str, tf.Tensor]],
    label_names: Sequence[str],
    report: Callable[[int], None],
) -> Scores:
    """Computes the scores of `score_models` from functions that return probabilities."""
    tally = Tally(label_names)
    report(0)
    for done, batch in enumerate(batches, start=1):
        labels, counts = batch["label"].numpy(), batch["weight"].numpy() > 0
        images = batch["image"].numpy().reshape(-1, *shape)
        probabilities = np.mean([answer(images) for answer in answers], axis=0)
        probabilities = probabilities.reshape(len(labels), -1, len(label_names)).mean(axis=1)
        tally.add(probabilities[counts], labels[counts])
        report(done)
    return tally.scores()


def _crops(
    images: tf.data.Dataset, take: Callable[[tf.Tensor], tf.Tensor], preprocessing: Preprocessing, channels: int
) -> tf.data.Dataset:
    """Crops and preprocesses images of any size for the network."""

    def crop(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pixels = take(change_channels(example["image"], channels))
        return {"image": preprocessing(pixels), "label": example["label"], "weight": tf.constant(1.0)}

    return images.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
