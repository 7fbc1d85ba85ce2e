"""Trains a network with a recipe, on one device or on many machines, and continues a training that was stopped.

Run it as ``python -m googlenet_keras.train --recipe fashion_mnist --output DIR``.
"""

import argparse
import sys

from googlenet_keras.commands.parsing import Parser, add_max_bad, path_argument
from googlenet_keras.commands.recipe_flags import add_recipe_fields, add_training_flags, recipe_changes
from googlenet_keras.commands.running import run
from googlenet_keras.training.recipe import load_recipe, recipe_names


def parser() -> Parser:
    """Returns the parser of the command's arguments, with a flag for every field of a recipe."""
    result = Parser(prog="python -m googlenet_keras.train", description=__doc__.splitlines()[0])
    add = result.add_argument
    add(
        "--recipe",
        required=True,
        choices=recipe_names(),
        metavar="NAME",
        help=f"name of the recipe, one of {', '.join(recipe_names())}",
    )
    add(
        "--output",
        type=path_argument,
        required=True,
        metavar="DIR",
        help="folder for the weights, log, curves and checkpoints",
    )
    add_training_flags(result)
    add(
        "--deterministic",
        action="store_true",
        help="make the same command give the same weights, bit for bit; this is slower",
    )
    add(
        "--resume",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="continue from the newest checkpoint in the output folder; --no-resume starts from the beginning "
        "(default: --resume)",
    )
    add_max_bad(result)
    add_recipe_fields(result, "fields of the recipe (default: the values of the recipe)")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_train, parser(), argv)


def _train(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe, **recipe_changes(arguments))

    import tensorflow as tf

    from googlenet_keras.devices import choose_dtype, create_strategy, is_chief

    if arguments.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy, where = create_strategy(arguments.strategy)

    from googlenet_keras.training.loop import TrainingInterruptedError, train
    from googlenet_keras.training.reporting import Reporter, default_callbacks
    from googlenet_keras.training.starting import settle_start

    callbacks = default_callbacks(recipe, arguments.output) if is_chief(strategy) else []
    # The training chooses the same network and dtype by itself. They are found here only to print them before the data
    # is opened.
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
