"""Recipes, the loop and its checkpoints: what trains a model, on one device or on many machines."""

from googlenet_keras import lazy

_HOMES = {
    "googlenet_keras.devices": ("STRATEGIES", "create_strategy"),
    "googlenet_keras.training.loop": ("LossNotFiniteError", "TrainingInterruptedError", "train"),
    "googlenet_keras.training.muon": ("Muon",),
    "googlenet_keras.training.recipe": ("Recipe", "load_recipe", "recipe_names"),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)
