"""Runs the command ``python -m googlenet_keras.export``; see `googlenet_keras.commands.export`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "export")
