"""What a model costs and what it looks like."""

from googlenet_keras.describe.cost import count_multiply_adds
from googlenet_keras.describe.pictures import plot_model, render

__all__ = ["count_multiply_adds", "plot_model", "render"]
