"""Runs the command ``python -m googlenet_keras.train``; see `googlenet_keras.commands.train`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "train")
