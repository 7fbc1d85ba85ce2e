"""The command ``python -m googlenet_keras.explain``; what it does is in `googlenet_keras.commands.explain`."""

from googlenet_keras import __main__

__main__.only_as_a_command(__name__, "explain")
