"""Defines studies, which are sets of recipes that are trained and compared."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any, TypeVar

from googlenet_keras.training.recipe import Recipe

_Value = TypeVar("_Value")

# The split for the evaluation after each training; no choice may be based on it.
TEST_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A training of a study.

    Attributes:
        name: The name of the entry, which appears in its row and in the folder names of its trainings.
        idea: The idea that the entry tests, in a few words.
        recipe: The recipe to train; the study sets its seed.
        compared_with: The name of the entry that lacks the idea and is otherwise the same; None for no comparison.
        published: The test accuracy that the source of the recipe reports; None if it reports none.
    """

    name: str
    idea: str
    recipe: Recipe
    compared_with: str | None = None
    published: float | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """A set of recipes that together answer a question.

    Attributes:
        name: The name of the study in `load_study`.
        question: The question that the study answers, in a line.
        entries: The entries, in the order in which they are trained.
        seeds: The default seeds with which each entry is trained.
        notes: Notes on how to read the table of the study.
    """

    name: str
    question: str
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    notes: tuple[str, ...] = ()

    def with_fields(self, **changes: Any) -> "Study":
        """Returns a copy of the study in which fields of all recipes are changed.

        A published accuracy is dropped if the dataset changes, because it is valid only for the original one.

        Args:
            **changes: The new values of fields; see `Recipe`.

        Raises:
            ValueError: If a field is out of its range.
        """
        entries = []
        for entry in self.entries:
            recipe = dataclasses.replace(entry.recipe, **changes)
            published = entry.published if recipe.dataset == entry.recipe.dataset else None
            entries.append(dataclasses.replace(entry, recipe=recipe, published=published))
        return dataclasses.replace(self, entries=tuple(entries))

    def entry(self, name: str) -> Entry:
        """Returns one of the entries.

        Args:
            name: The name of the entry.

        Raises:
            ValueError: If there is no such entry; the message suggests a similar name.
        """
        return _named(name, {entry.name: entry for entry in self.entries}, f"entry of {self.name}")


def study_names() -> list[str]:
    """Returns the names of all studies that `load_study` can load, in alphabetical order."""
    from googlenet_keras.studies.definitions import STUDIES

    return sorted(STUDIES)


def load_study(name: str) -> Study:
    """Returns a study by its name.

    Args:
        name: One of `study_names`.

    Raises:
        ValueError: If there is no such study; the message suggests a similar name.
    """
    from googlenet_keras.studies.definitions import STUDIES

    return _named(name, STUDIES, "study")


def _named(name: str, known: dict[str, _Value], kind: str) -> _Value:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or sorted(known)
        raise ValueError(f"There is no such {kind}; did you mean {' or '.join(near)}? Received: {name!r}")
    return known[name]
