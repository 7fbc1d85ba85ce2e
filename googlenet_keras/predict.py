"""Runs the command ``python -m googlenet_keras.predict``; see `googlenet_keras.commands.predict`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "predict")
