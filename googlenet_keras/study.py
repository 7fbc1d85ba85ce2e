"""Runs the command ``python -m googlenet_keras.study``; see `googlenet_keras.commands.study`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "study")
