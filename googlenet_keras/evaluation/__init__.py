"""Measures how well a trained model classifies images, also as the command ``python -m googlenet_keras.evaluate``.

Each module is imported when one of its names is first used, so that the ``--help`` of the command stays fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
