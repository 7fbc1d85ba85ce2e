"""Weights from files and from other frameworks into a model, and what a weight file says of itself."""

from googlenet_keras.weights.cards import Card, read_card, save_weights, write_card
from googlenet_keras.weights.loading import load_weights
from googlenet_keras.weights.mapping import load_state
from googlenet_keras.weights.published import PUBLISHED, PublishedWeights, shrink_weights
from googlenet_keras.weights.readers import StoredTensor, WeightFile, open_weights, read_weights

__all__ = [
    "PUBLISHED",
    "Card",
    "PublishedWeights",
    "StoredTensor",
    "WeightFile",
    "load_state",
    "load_weights",
    "open_weights",
    "read_card",
    "read_weights",
    "save_weights",
    "shrink_weights",
    "write_card",
]
