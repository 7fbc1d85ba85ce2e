"""Runs the command ``python -m googlenet_keras.benchmark``; see `googlenet_keras.commands.benchmark`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "benchmark")
