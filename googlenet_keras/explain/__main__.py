"""Runs the command ``python -m googlenet_keras.explain``, which `googlenet_keras.commands.explain` implements."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "explain")
