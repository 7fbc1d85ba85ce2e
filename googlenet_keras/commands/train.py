"""Training a network by a recipe, on one device or on many machines, with nothing lost in between.

Run it as ``python -m googlenet_keras.train --recipe fashion_mnist --output DIR``.
"""

import argparse
import dataclasses
import sys
import types
import typing
from typing import Any

from googlenet_keras import devices
from googlenet_keras.commands.parsing import Parser, path_argument
from googlenet_keras.commands.running import run
from googlenet_keras.training.recipe import Recipe, load_recipe, recipe_names


def parser() -> Parser:
    """The command's arguments: its own, and every field of a recipe by its name."""
    result = Parser(prog="python -m googlenet_keras.train", description=__doc__.splitlines()[0])
    add = result.add_argument
    add("--recipe", required=True, choices=recipe_names(), metavar="NAME", help=f"one of {', '.join(recipe_names())}")
    add(
        "--output",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder of the weights, log, curves and checkpoints",
    )
    add("--data-dir", type=path_argument, metavar="DIR", help="where TensorFlow Datasets keeps its data")
    strategies = ", ".join(devices.STRATEGIES)
    add("--strategy", default="auto", choices=devices.STRATEGIES, metavar="NAME", help=f"one of {strategies}")
    add("--deterministic", action="store_true", help="the same weights bit for bit from the same command; slower")
    add("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from the newest checkpoint")
    add("--max-bad", type=int, default=10, metavar="N", help="broken images to pass over in a folder (default: 10)")
    fields = result.add_argument_group("fields of the recipe")
    types_of = typing.get_type_hints(Recipe)
    for field in dataclasses.fields(Recipe):
        flag = f"--{field.name.replace('_', '-')}"
        help_text = f"{field.metadata['help']} (default: the recipe's)"
        if types_of[field.name] is bool:
            fields.add_argument(flag, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=help_text)
            continue
        kind, several = _kind(types_of[field.name])
        fields.add_argument(
            flag,
            type=kind,
            nargs="+" if several else None,
            default=argparse.SUPPRESS,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            help=help_text,
        )
    return result


def _kind(hint: Any) -> tuple[type, bool]:
    """The type of a field's values, and whether it takes several: of ``int | None`` or ``tuple[float, ...] | None``."""
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is tuple:
        return typing.get_args(hint)[0], True
    return hint, False


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_train, parser(), argv)


def _train(arguments: argparse.Namespace) -> int:
    changes = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(arguments).items()
        if name in {field.name for field in dataclasses.fields(Recipe)}
    }
    recipe = load_recipe(arguments.recipe, **changes)

    import tensorflow as tf

    from googlenet_keras.devices import choose_dtype, create_strategy, is_chief

    if arguments.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy, where = create_strategy(arguments.strategy)

    from googlenet_keras.training.loop import TrainingInterruptedError, train
    from googlenet_keras.training.reporting import Reporter, default_callbacks
    from googlenet_keras.training.starting import settle_start

    callbacks = default_callbacks(recipe, arguments.output) if is_chief(strategy) else []
    # The training takes the same network and dtype; here they are only told of, before the data is opened.
    model = settle_start(recipe)[0].model
    dtype = choose_dtype(recipe.dtype, strategy)
    print(f"Training {model} on {recipe.dataset}, on {where}, in {dtype.name}: {dtype.reason}", flush=True)
    try:
        results = train(
            recipe,
            arguments.output,
            data_dir=arguments.data_dir,
            strategy=strategy,
            resume=arguments.resume,
            max_bad=arguments.max_bad,
            callbacks=callbacks,
        )
    except TrainingInterruptedError as stopped:
        print(stopped, file=sys.stderr)
        return 128 + stopped.signal
    finally:
        for callback in callbacks:
            if isinstance(callback, Reporter):
                callback.close()
    print(f"val_accuracy {results['val_accuracy']:.4f}; weights, log and curves are in {arguments.output}")
    return 0
