"""Defines the state of a training: everything that its steps change, and that its checkpoints therefore contain."""

import dataclasses
import time
from dataclasses import dataclass

import keras

from googlenet_keras.data import Dataset
from googlenet_keras.models import model_record
from googlenet_keras.training.networks import create_network, network_arguments
from googlenet_keras.training.objective import create_optimizer
from googlenet_keras.training.parts import Layer, frozen_layers, rate_factors
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.starting import Start

Row = dict[str, float]


@dataclass
class Progress:
    """The progress of a training.

    Attributes:
        epoch: The number of completed epochs.
        step: The number of completed steps of the current epoch.
        sums: The loss, the examples and the correct predictions of each head, which `Steps.train` returned, summed over
            the completed steps of the current epoch.
        seconds: The seconds spent so far, over all runs of the training: wall-clock time (``"wall"``), CPU time
            (``"cpu"``), and time spent waiting for data (``"wait"``).
        rows: The rows of the log, one for each completed epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"wall": 0.0, "cpu": 0.0, "wait": 0.0})
    rows: list[Row] = dataclasses.field(default_factory=list)


@dataclass
class State:
    """The networks, the optimizer and the progress of a training.

    Attributes:
        model: The network that is trained; it outputs logits.
        average: The network that is evaluated and saved: the one that holds the moving average of the weights, or
            `model` itself if there is no moving average.
        optimizer: The optimizer, built for all trainable weights of the model, including those of frozen layers.
        freezable: The layers of the model that are frozen in some or all epochs.
        frozen: Whether these layers are currently frozen.
        progress: The progress of the training.
    """

    model: keras.Model
    average: keras.Model
    optimizer: keras.optimizers.Optimizer
    freezable: tuple[Layer, ...] = ()
    frozen: bool = False
    progress: Progress = dataclasses.field(default_factory=Progress)

    @property
    def has_average(self) -> bool:
        """True if there is a moving average of the weights, in a separate network."""
        return self.average is not self.model

    def freeze(self, frozen: bool) -> None:
        """Freezes or unfreezes the layers in `freezable`."""
        self.frozen = frozen
        for layer in self.freezable:
            layer.trainable = not frozen

    def variables(self) -> dict[str, keras.Variable]:
        """Returns all variables that a step changes, by names that are the same in every process of the training."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        if self.has_average:
            groups["average"] = self.average.variables
        return {
            f"{group}/{index}/{variable.name}": variable
            for group, variables in groups.items()
            for index, variable in enumerate(variables)
        }


def create_state(recipe: Recipe, start: Start, dataset: Dataset, steps_per_epoch: int) -> State:
    """Creates the initial state of a training, with the recipe's random seed; call it in the strategy's scope.

    Args:
        recipe: The recipe, whose dtype must not be ``"auto"``.
        start: The weights to start from; this function does not load them.
        dataset: The dataset to train on.
        steps_per_epoch: The number of steps in an epoch, for the schedule of the learning rate.

    Raises:
        ValueError: If the network or the optimizer does not support a setting of the recipe.
    """
    keras.utils.set_random_seed(recipe.seed)
    arguments = network_arguments(recipe, start)
    model = average = create_network(recipe, dataset, arguments)
    if recipe.average_decay:
        average = create_network(recipe, dataset, arguments)
        average.set_weights(model.get_weights())
    record = model_record(recipe.model)
    freezable = frozen_layers(recipe, model, record)
    factors = rate_factors(recipe, model, record)
    optimizer = create_optimizer(recipe, model, steps_per_epoch, factors=factors, frozen=freezable)
    # Callbacks expect to find the optimizer in the model.
    model.compile(optimizer)
    return State(model, average, optimizer, freezable)


class Clock:
    """A clock that adds the wall-clock, CPU and waiting time of this process to that of earlier runs of the training.

    Args:
        before: The seconds of the earlier runs, as in `Progress.seconds`.
    """

    def __init__(self, before: dict[str, float]) -> None:
        self._before = dict(before)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, waited: float = 0.0) -> dict[str, float]:
        """Returns the seconds so far; ``waited`` is the waiting time in the current epoch."""
        return {
            "wall": self._before["wall"] + time.perf_counter() - self._wall,
            "cpu": self._before["cpu"] + time.process_time() - self._cpu,
            "wait": self._before["wait"] + waited,
        }

    def settle(self, waited: float) -> None:
        """Adds the waiting time of a finished epoch to the total."""
        self._before["wait"] += waited
