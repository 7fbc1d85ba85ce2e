"""Recipes, the loop and its checkpoints: what trains a model, on one device or on many machines."""

import lazy_loader

from googlenet_keras.devices import STRATEGIES as STRATEGIES, create_strategy as create_strategy

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
