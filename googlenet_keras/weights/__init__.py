"""Loads weight files, including those of other frameworks, into models, and reads and writes their cards."""

from googlenet_keras.weights.cards import Card, read_card, save_weights, write_card
from googlenet_keras.weights.catalogue import PUBLISHED, PublishedWeights
from googlenet_keras.weights.loading import load_weights
from googlenet_keras.weights.mapping import Loading, load_state
from googlenet_keras.weights.published import list_weights, shrink_weights
from googlenet_keras.weights.readers import StoredTensor, WeightFile, open_weights, read_weights
from googlenet_keras.weights.sources import SOURCES, recognize_source

__all__ = [
    "PUBLISHED",
    "SOURCES",
    "Card",
    "Loading",
    "PublishedWeights",
    "StoredTensor",
    "WeightFile",
    "list_weights",
    "load_state",
    "load_weights",
    "open_weights",
    "read_card",
    "read_weights",
    "recognize_source",
    "save_weights",
    "shrink_weights",
    "write_card",
]
