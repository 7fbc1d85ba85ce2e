"""A trained model, or several as one, measured on a split of a dataset."""

import json
import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.data import Batches, Dataset, open_dataset, trained_split
from googlenet_keras.devices import choose_dtype
from googlenet_keras.evaluation.crops import CROPS
from googlenet_keras.evaluation.pictures import plot_confusion
from googlenet_keras.evaluation.scores import Scores, Tally
from googlenet_keras.files import Publication
from googlenet_keras.images import Preprocessing, change_channels
from googlenet_keras.models import serving_model
from googlenet_keras.models.trained import Network, find_network, trained_preprocessing

RESULTS_FILE, PICTURE_FILE = "evaluation.json", "confusion.png"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured, and of what.

    Attributes:
        model: The network's name.
        weights: The weight files whose probabilities were averaged.
        dataset: The dataset's name, or ``folder:PATH``.
        split: What part of it.
        skipped: Image files that cannot be used and were left out, and why.
        input_size: Height and width of the network's input, in pixels.
        crops: How many crops of each image were averaged.
        dtype: Keras dtype policy.
        scores: What the answers were worth.
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
        """Everything, the scores beside the settings, for JSON."""
        settings = asdict(self)
        return settings | settings.pop("scores")

    def save(self, folder: str | Path) -> None:
        """Writes ``evaluation.json`` and ``confusion.png``, both or neither.

        Args:
            folder: Where to; it is made if need be.

        Raises:
            OSError: If it cannot be written to.
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
    """Measures how well a model names the images of a split.

    One crop is what training measures itself on, and what an exported model sees. The probabilities of several crops,
    and of several weight files, are averaged. Auxiliary heads among the weights are left out.

    Args:
        name: One of `list_models`; None is what the weight files' cards say.
        weights: Weight files of that model (see `load_weights`), or names of published weights; several are an
            ensemble.
        dataset: See `open_dataset`; None is what the first card names. Its classes may be some of the network's, which
            are then found by their names.
        data_dir: See there.
        split: In the words of TensorFlow Datasets, such as ``"test"`` or ``"train[90%:]"``; None is what the training
            was measured on, or ``"test"``.
        batch_size: Crops that are answered at once, though at least those of one image.
        input_size: Height and width of the network's input, in pixels; None is the card's or the network's own.
        dtype: Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None is the global one.
        crops: 1, 10 (see `ten_crops`) or 144 (see `paper_crops`).
        max_bad: See `open_dataset`.
        report: Called with the steps that are done and those there are, before the first and after each.

    Returns:
        What was measured.

    Raises:
        ValueError: If an argument makes no model, no crops or no data, contradicts a card, or the weights do not fit.
        RuntimeError: If the model answers something that is no number, or Keras runs on another backend than
            TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            "The data comes through TensorFlow: start Python with KERAS_BACKEND=tensorflow. "
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
    networks = [find_network(name, file) for file in weights]
    card = networks[0].card
    dataset = dataset or (card.dataset if card else None)
    if dataset is None:
        raise ValueError(f"The weight file does not say what it was trained on: name a dataset. Received: {weights[0]}")
    data = open_dataset(dataset, data_dir=data_dir, max_bad=max_bad)
    part = data.split(split or trained_split(data, ((card and card.recipe) or {}).get("validation_split", "test")))
    networks = [_for_data(network, data, input_size) for network in networks]
    models = [network.build(dtype=dtype) for network in networks]
    labels = networks[0].labels_of(models[0])
    for network, model in zip(networks, models, strict=True):
        _check_alike(network, model, networks[0], models[0], labels)
    served = [_probabilities(model) for model in models]
    size, channels = served[0].input.shape[1], served[0].input.shape[3]
    preprocessing = networks[0].preprocessing
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
        model=networks[0].record.name,
        weights=tuple(map(str, weights)),
        dataset=data.name,
        split=part.name,
        skipped=dict(part.bad),
        input_size=size,
        crops=crops,
        dtype=models[0].dtype_policy.name if networks[0].whole else dtype or keras.config.dtype_policy().name,
        scores=score_models(served, elements, labels, report=lambda done: report(done, steps)),
    )


evaluate_model = evaluate  # its first name


def _for_data(network: Network, data: Dataset, input_size: int | None) -> Network:
    """The network for these images, where its weight file does not say for which it is."""
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


def _check_alike(
    network: Network, model: keras.Model, first: Network, first_model: keras.Model, labels: Sequence[str]
) -> None:
    """Refuses an ensemble of networks that do not answer the same question.

    Raises:
        ValueError: If one takes other images than the first, or answers other classes.
    """
    for what, one, other in (
        ("input shape", model.input.shape[1:], first_model.input.shape[1:]),
        ("classes", network.labels_of(model), labels),
        ("preprocessing", network.preprocessing, first.preprocessing),
    ):
        if one != other:
            raise ValueError(
                f"The networks of an ensemble must be alike in {what}. Received: {one} of {str(network.weights)!r}, "
                f"and {other} of {str(first.weights)!r}"
            )


def _places(data: Dataset, labels: Sequence[str]) -> list[int]:
    """Where the dataset's classes are among the network's.

    Raises:
        ValueError: If one of them is not there.
    """
    unknown = [label for label in data.label_names if label not in labels]
    if unknown:
        raise ValueError(
            f"The network does not know the class {unknown[0]!r} of {data.name}, one of {len(unknown)} such; it knows "
            f"{textwrap.shorten(', '.join(labels), 200, placeholder=' ...')}. Received: {data.name!r}"
        )
    return [labels.index(label) for label in data.label_names]


def _probabilities(model: keras.Model) -> keras.Model:
    """The model that answers its classes' probabilities, whatever it ends in."""
    served = serving_model(model)
    return keras.Model(served.input, served.output["probabilities"], name=model.name)


def score_models(
    models: Sequence[keras.Model],
    batches: Iterable[Mapping[str, tf.Tensor]],
    label_names: Sequence[str],
    *,
    report: Callable[[int], None] = lambda done: None,
) -> Scores:
    """Measures models whose probabilities are averaged, on any batches.

    Args:
        models: Models that answer probabilities (batch, classes), all of the same input.
        batches: Each has ``image``, preprocessed float32 (examples, height, width, channels), or (examples, crops,
            height, width, channels) whose crops are averaged too; ``label``, integers (examples,); and ``weight``
            (examples,): examples of weight 0 do not count.
        label_names: The names of the classes.
        report: Called with the number of batches that are done, before the first and after each.

    Returns:
        What the answers are worth.

    Raises:
        ValueError: If there are no examples.
        RuntimeError: If an answer is no number.
    """
    shape = models[0].input.shape

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def answer(images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.stack([model(images, training=False) for model in models]), axis=0)

    tally = Tally(label_names)
    report(0)
    for done, batch in enumerate(batches, start=1):
        labels, counts = batch["label"].numpy(), batch["weight"].numpy() > 0
        probabilities = answer(tf.reshape(batch["image"], (-1, *shape[1:]))).numpy()
        probabilities = probabilities.reshape(len(labels), -1, len(label_names)).mean(axis=1)
        tally.add(probabilities[counts], labels[counts])
        report(done)
    return tally.scores()


def _crops(
    images: tf.data.Dataset, take: Callable[[tf.Tensor], tf.Tensor], preprocessing: Preprocessing, channels: int
) -> tf.data.Dataset:
    """From images as they are to their crops as the network takes them."""

    def crop(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        pixels = take(change_channels(example["image"], channels))
        return {"image": preprocessing(pixels), "label": example["label"], "weight": tf.constant(1.0)}

    return images.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
