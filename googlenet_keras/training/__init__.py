"""Where and how models are trained."""

from googlenet_keras.training.strategies import STRATEGIES, create_strategy

__all__ = ["STRATEGIES", "create_strategy"]
