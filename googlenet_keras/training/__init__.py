"""Trains models, on one device or on many machines: the recipes, the training loop and its checkpoints."""

import lazy_loader

from googlenet_keras.devices import STRATEGIES as STRATEGIES, create_strategy as create_strategy

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
