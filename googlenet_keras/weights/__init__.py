"""Weights from files and from other frameworks into a model."""

from googlenet_keras.weights.mapping import load_state
from googlenet_keras.weights.readers import load_weights, read_weights

__all__ = ["load_state", "load_weights", "read_weights"]
