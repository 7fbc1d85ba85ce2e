"""Runs the command ``python -m googlenet_keras.convert``; see `googlenet_keras.commands.convert`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "convert")
