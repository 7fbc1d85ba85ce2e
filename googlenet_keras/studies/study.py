"""Defines a study: recipes that are trained alike and compared."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any, TypeVar

from googlenet_keras.training.recipe import Recipe

_Value = TypeVar("_Value")

# What is measured at the end of each training, and nothing is chosen by.
TEST_SPLIT = "test"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A training of a study.

    Attributes:
        name: The name of its row, and of the folders of its trainings.
        idea: The idea that it tests, in a few words.
        recipe: The recipe to train; a study changes its seed.
        compared_with: The entry that lacks the idea and is like it otherwise; None: it is compared with none.
        published: Test accuracy that its source tells; None: it tells none.
    """

    name: str
    idea: str
    recipe: Recipe
    compared_with: str | None = None
    published: float | None = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """Recipes that answer a question together.

    Attributes:
        name: The name of the study in `load_study`.
        question: The question that it answers, in a line.
        entries: The trainings, in the order in which they are run.
        seeds: Those that each of them is run with where nothing else is asked for.
        notes: Notes on reading its table.
    """

    name: str
    question: str
    entries: tuple[Entry, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    notes: tuple[str, ...] = ()

    def with_fields(self, **changes: Any) -> "Study":
        """The study with fields of all its recipes set otherwise.

        A published accuracy belongs to the dataset that it was measured on, and is dropped with another one.

        Args:
            **changes: The fields; see `Recipe`.

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
        """One of the trainings.

        Args:
            name: The entry's.

        Raises:
            ValueError: If there is no such entry, and the message names one that is near.
        """
        return _named(name, {entry.name: entry for entry in self.entries}, f"entry of {self.name}")


def study_names() -> list[str]:
    """The names that `load_study` knows."""
    from googlenet_keras.studies.definitions import STUDIES

    return sorted(STUDIES)


def load_study(name: str) -> Study:
    """A study by its name.

    Args:
        name: One of `study_names`.

    Raises:
        ValueError: If there is no such study, and the message names one that is near.
    """
    from googlenet_keras.studies.definitions import STUDIES

    return _named(name, STUDIES, "study")


def _named(name: str, known: dict[str, _Value], kind: str) -> _Value:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1) or sorted(known)
        raise ValueError(f"There is no such {kind}; did you mean {' or '.join(near)}? Received: {name!r}")
    return known[name]
