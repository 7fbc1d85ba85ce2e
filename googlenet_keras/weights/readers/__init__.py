"""Weight files of every format as ``{name: array}``, read without running anything that is in them."""

from googlenet_keras.weights.readers.errors import DamagedFileError, damaged, refusing
from googlenet_keras.weights.readers.opening import FORMATS, open_weights, read_attribute, read_weights
from googlenet_keras.weights.readers.stored import StoredTensor, WeightFile

# Of the files that Keras 3 writes, and that a model of this package is saved to.
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
