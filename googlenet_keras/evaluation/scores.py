"""Computes the scores of predictions: top-1 and top-5 accuracy, and the scores of each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOP = 5


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """The scores of one class against the others.

    Attributes:
        label: The name of the class.
        examples: The number of examples of the class.
        precision: The fraction of correct predictions among the predictions of the class; None if it was never
            predicted.
        recall: The fraction of the examples of the class that were predicted correctly; None if it has no examples.
        f1: The harmonic mean of precision and recall; None if the class has no examples and was never predicted.
    """

    label: str
    examples: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a model's predictions.

    Attributes:
        examples: The number of examples.
        top1: The fraction of the examples whose true class has the highest probability.
        top5: The fraction of the examples whose true class has one of the five highest probabilities.
        classes: The scores of each class, in the order of the model's outputs.
        confusion: The confusion matrix; ``confusion[i][j]`` is the number of examples of class i that were predicted as
            class j.
    """

    examples: int
    top1: float
    top5: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


def check_finite(probabilities: np.ndarray) -> None:
    """Raises an error if probabilities are not finite, because they cannot be ordered.

    Args:
        probabilities: A network's probabilities, of any shape.

    Raises:
        RuntimeError: If a probability is NaN or infinite.
    """
    if not np.isfinite(probabilities).all():
        raise RuntimeError("The network returns NaN or infinity: its weights are damaged or its training diverged")


class Tally:
    """Counts a model's correct and wrong predictions, batch by batch.

    Args:
        label_names: The names of the classes, in the order of the model's outputs.
    """

    def __init__(self, label_names: Sequence[str]) -> None:
        self._label_names = tuple(label_names)
        self._confusion = np.zeros((len(self._label_names),) * 2, np.int64)
        self._right_among_top = 0

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Counts the predictions of a batch.

        Args:
            probabilities: The probabilities (batch, classes). If two classes have equal probabilities, the first one
                ranks higher.
            labels: The true classes (batch,), as integers from 0.

        Raises:
            RuntimeError: If a probability is NaN or infinite.
        """
        check_finite(probabilities)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        np.add.at(self._confusion, (labels, best[:, 0]), 1)
        self._right_among_top += int(np.count_nonzero(best == labels[:, np.newaxis]))

    def scores(self) -> Scores:
        """Returns the scores of the predictions that have been counted so far.

        Raises:
            ValueError: If no predictions have been counted.
        """
        examples = int(self._confusion.sum())
        if not examples:
            raise ValueError("There are no examples to evaluate on; choose another split. Received: 0 examples")
        right = np.diag(self._confusion)
        actual, answered = self._confusion.sum(axis=1), self._confusion.sum(axis=0)
        return Scores(
            examples=examples,
            top1=int(right.sum()) / examples,
            top5=self._right_among_top / examples,
            classes=tuple(
                ClassScore(
                    label=label,
                    examples=int(actual[i]),
                    precision=_part(right[i], answered[i]),
                    recall=_part(right[i], actual[i]),
                    f1=_part(2 * right[i], actual[i] + answered[i]),
                )
                for i, label in enumerate(self._label_names)
            ),
            confusion=tuple(map(tuple, self._confusion.tolist())),
        )


def _part(some: int, of: int) -> float | None:
    return int(some) / int(of) if of else None
