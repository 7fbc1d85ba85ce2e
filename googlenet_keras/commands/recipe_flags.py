"""Defines the flags that the commands `train` and `study` share, for the data, the devices and the recipe's fields."""

import argparse
import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from googlenet_keras import devices
from googlenet_keras.commands.parsing import Parser, add_data_dir
from googlenet_keras.training.recipe import Recipe

FIELD_NAMES = tuple(field.name for field in dataclasses.fields(Recipe))


def add_training_flags(parser: Parser) -> None:
    """Adds the flags for the folder of the data and for the devices.

    Args:
        parser: The parser of a command.
    """
    add_data_dir(parser)
    parser.add_argument(
        "--strategy",
        default="auto",
        choices=devices.STRATEGIES,
        metavar="NAME",
        help=f"devices to train on, one of {', '.join(devices.STRATEGIES)} (default: auto, which uses all GPUs, "
        "or the CPU)",
    )


def add_recipe_fields(parser: Parser, title: str, names: Iterable[str] = FIELD_NAMES) -> None:
    """Adds a flag for each of the given fields of a recipe, with the description of the field.

    Args:
        parser: The parser of a command.
        title: The title of the group of flags in the help.
        names: The names of the fields.
    """
    group = parser.add_argument_group(title)
    fields, hints = {field.name: field for field in dataclasses.fields(Recipe)}, typing.get_type_hints(Recipe)
    for name in names:
        flag, help_text = f"--{name.replace('_', '-')}", fields[name].metadata["help"]
        if hints[name] is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_text)
            continue
        kind, several, optional = _kind(hints[name])
        group.add_argument(
            flag,
            type=_number_or_none(kind) if optional and kind is not str else kind,
            nargs="+" if several else None,
            default=argparse.SUPPRESS,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            help=help_text,
        )


def recipe_changes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the values of the recipe's fields that were given as flags.

    Args:
        arguments: The parsed arguments.
    """
    given = {name: value for name, value in vars(arguments).items() if name in FIELD_NAMES}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _kind(hint: Any) -> tuple[type, bool, bool]:
    """Returns the type of a field's values, whether the field holds several values, and whether it may be None.

    Args:
        hint: The type hint of the field, such as ``int``, ``int | None`` or ``tuple[float, ...] | None``.
    """
    optional = isinstance(hint, types.UnionType)
    if optional:
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True, optional
    return hint, False, optional


def _number_or_none(kind: type[float]) -> Callable[[str], float | None]:
    """Returns a function that parses a number, and turns the word "none" into None."""

    def parse(text: str) -> float | None:
        return None if text == "none" else kind(text)

    parse.__name__ = kind.__name__  # argparse prints this name in its errors
    return parse
