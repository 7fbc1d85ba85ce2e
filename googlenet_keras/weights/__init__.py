"""Weights from files and from other frameworks into a model."""

from googlenet_keras.weights.mapping import load_state
from googlenet_keras.weights.published import PUBLISHED, PublishedWeights, shrink_weights
from googlenet_keras.weights.readers import load_weights, read_weights

__all__ = ["PUBLISHED", "PublishedWeights", "load_state", "load_weights", "read_weights", "shrink_weights"]
