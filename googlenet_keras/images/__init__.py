"""Converts images from the bytes of a file to the input of a network.

The evaluation during training, `evaluate`, `predict` and every signature of a SavedModel use the functions of this
package to decode, orient, crop, resize and normalize an image.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
