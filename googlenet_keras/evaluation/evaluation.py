"""A trained model, or several as one, measured on a split of a dataset."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.data import Batches, open_dataset
from googlenet_keras.devices import choose_dtype
from googlenet_keras.evaluation.crops import CROPS
from googlenet_keras.evaluation.pictures import plot_confusion
from googlenet_keras.evaluation.scores import Scores, Tally
from googlenet_keras.files import Publication
from googlenet_keras.models import Preprocessing, create_model, model_record

RESULTS_FILE, PICTURE_FILE = "evaluation.json", "confusion.png"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was measured, and of what.

    Attributes:
        model: The network's name.
        weights: The weight files whose probabilities were averaged.
        dataset: The dataset's name, or ``folder:PATH``.
        split: What part of it.
        skipped: Files that are no images and were passed over.
        input_size: Height and width of the network's input, in pixels.
        crops: How many crops of each image were averaged.
        dtype: Keras dtype policy.
        scores: What the answers were worth.
    """

    model: str
    weights: tuple[str, ...]
    dataset: str
    split: str
    skipped: tuple[str, ...]
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


def evaluate_model(
    name: str,
    weights: Sequence[str | Path],
    *,
    dataset: str,
    data_dir: str | Path | None = None,
    split: str = "test",
    batch_size: int = 128,
    input_size: int | None = None,
    dtype: str | None = None,
    crops: int = 1,
    max_bad: int = 10,
    report: Callable[[int, int], None] = lambda done, steps: None,
) -> Evaluation:
    """Measures how well a model names the images of a split.

    One crop is what training measures itself on: the whole of a small image, the centre of a large one. The
    probabilities of several crops, and of several weight files, are averaged. Auxiliary heads among the weights are
    left out.

    Args:
        name: One of `list_models`.
        weights: Weight files of that model (see `load_weights`); several are an ensemble.
        dataset: See `open_dataset`.
        data_dir: See there.
        split: In the words of TensorFlow Datasets, such as ``"test"`` or ``"train[90%:]"``.
        batch_size: Crops that are answered at once, though at least those of one image.
        input_size: Height and width of the network's input, in pixels; None is the network's own.
        dtype: Keras dtype policy, or ``"auto"`` (see `choose_dtype`); None is the global one.
        crops: 1, 10 (see `ten_crops`) or 144 (see `paper_crops`).
        max_bad: See `open_dataset`.
        report: Called with the steps that are done and those there are, before the first and after each.

    Returns:
        What was measured.

    Raises:
        ValueError: If an argument makes no model, no crops or no data, or the weights do not fit.
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
    record = model_record(name, weights[0])
    data = open_dataset(dataset, data_dir=data_dir, max_bad=max_bad)
    part = data.split(split)
    size = record.factory(**record.arguments).input.shape[1] if input_size is None else input_size
    models = [
        create_model(
            name,
            classes=data.classes,
            input_shape=(size, size, data.channels),
            classifier_activation="softmax",
            weights=file,
            dtype=dtype,
        )
        for file in weights
    ]
    if crops == 1:
        batches = Batches(
            part, batch_size=batch_size, input_size=size, preprocessing=record.preprocessing, training=False
        )
        elements, steps = batches.epoch(0), batches.steps
    else:
        images = max(1, batch_size // crops)
        elements = (
            _crops(part.images(), partial(CROPS[crops], size=size), record.preprocessing).batch(images).prefetch(2)
        )
        steps = math.ceil(part.size / images)
    return Evaluation(
        model=name,
        weights=tuple(map(str, weights)),
        dataset=data.name,
        split=split,
        skipped=part.bad,
        input_size=size,
        crops=crops,
        dtype=dtype or keras.config.dtype_policy().name,
        scores=score_models(models, elements, data.label_names, report=lambda done: report(done, steps)),
    )


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
    images: tf.data.Dataset, take: Callable[[tf.Tensor], tf.Tensor], preprocessing: Preprocessing
) -> tf.data.Dataset:
    """From images as they are to their crops as the network takes them."""

    def crop(example: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"image": preprocessing(take(example["image"])), "label": example["label"], "weight": tf.constant(1.0)}

    return images.map(crop, num_parallel_calls=tf.data.AUTOTUNE)
