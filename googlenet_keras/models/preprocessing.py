"""Moved to `googlenet_keras.images.preprocessing`."""

from googlenet_keras.images.preprocessing import *  # noqa: F403
