"""The one path of an image: from a file's bytes to what a network takes.

Training's evaluation, `evaluate`, `predict` and every signature of a SavedModel decode, orient, crop, resize and
normalize an image by the functions of this package.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
