"""Runs the command ``python -m googlenet_keras.evaluate``; see `googlenet_keras.commands.evaluate`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "evaluate")
