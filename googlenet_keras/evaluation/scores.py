"""Scores answers: top-1 and top-5 accuracy, and each class by itself."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TOP = 5


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """The scores of one class against the others.

    Attributes:
        label: Its name.
        examples: The number of examples of the class.
        precision: Part of the answers naming it that were right; None if no answer did.
        recall: Part of its examples that were answered with it; None if there were none.
        f1: The harmonic mean of both; None if there was neither such an example nor such an answer.
    """

    label: str
    examples: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of a model's answers.

    Attributes:
        examples: The number of examples.
        top1: Part of them whose class was given the highest probability.
        top5: Part of them whose class was among the five highest.
        classes: Each class, in the order of the model's outputs.
        confusion: ``confusion[i][j]``: how many examples of class i were answered with class j.
    """

    examples: int
    top1: float
    top5: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


def check_finite(probabilities: np.ndarray) -> None:
    """Refuses answers that no comparison can order.

    Args:
        probabilities: A network's probabilities, of any shape.

    Raises:
        RuntimeError: If a probability is NaN or infinite.
    """
    if not np.isfinite(probabilities).all():
        raise RuntimeError("The network answers NaN or infinity: its weights are damaged or its training diverged")


class Tally:
    """Counts a model's answers, batch by batch.

    Args:
        label_names: The names of the classes, in the order of the model's outputs.
    """

    def __init__(self, label_names: Sequence[str]) -> None:
        self._label_names = tuple(label_names)
        self._confusion = np.zeros((len(self._label_names),) * 2, np.int64)
        self._right_among_top = 0

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Counts a batch of answers.

        Args:
            probabilities: (batch, classes). Of equal ones the first class counts as the higher.
            labels: (batch,), the true classes as integers from 0.

        Raises:
            RuntimeError: If a probability is no number.
        """
        check_finite(probabilities)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
        np.add.at(self._confusion, (labels, best[:, 0]), 1)
        self._right_among_top += int(np.count_nonzero(best == labels[:, np.newaxis]))

    def scores(self) -> Scores:
        """The scores of what has been counted so far.

        Raises:
            ValueError: If that is nothing.
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
