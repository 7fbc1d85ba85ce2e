import googlenet_keras.devices

from .loop import (
    LossNotFiniteError as LossNotFiniteError,
    TrainingInterruptedError as TrainingInterruptedError,
    train as train,
)
from .muon import Muon as Muon
from .recipe import Recipe as Recipe, load_recipe as load_recipe, recipe_names as recipe_names

STRATEGIES = googlenet_keras.devices.STRATEGIES
create_strategy = googlenet_keras.devices.create_strategy
