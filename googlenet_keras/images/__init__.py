"""The one path of an image: from a file's bytes to what a network takes.

Training's evaluation, `evaluate`, `predict` and every signature of a SavedModel decode, orient, crop, resize and
normalize an image by the functions of this package.
"""

from googlenet_keras import lazy

_HOMES = {
    "googlenet_keras.images.decoding": (
        "MOST_PIXELS",
        "Inspection",
        "decode_box",
        "decode_image",
        "inspect_image",
        "refusal",
    ),
    "googlenet_keras.images.fitting": ("change_channels", "fit_images", "resize"),
    "googlenet_keras.images.formats": ("SUFFIXES", "image_files"),
    "googlenet_keras.images.preprocessing": ("Preprocessing",),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)
