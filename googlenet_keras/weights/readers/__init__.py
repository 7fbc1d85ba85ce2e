"""Reads weight files of all supported formats as ``{name: array}``, without running any code in them."""

from googlenet_keras.weights.readers.errors import DamagedFileError, damaged, refusing
from googlenet_keras.weights.readers.opening import FORMATS, open_weights, read_attribute, read_weights
from googlenet_keras.weights.readers.stored import StoredTensor, WeightFile

# The suffixes of the files that Keras 3 writes. Models of this package are saved in the same formats.
SUFFIXES = (".weights.h5", ".keras")

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "DamagedFileError",
    "StoredTensor",
    "WeightFile",
    "damaged",
    "open_weights",
    "read_attribute",
    "read_weights",
    "refusing",
]
