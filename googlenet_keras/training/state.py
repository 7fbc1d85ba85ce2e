"""All that a training changes from its first step to its last, and that a checkpoint therefore holds."""

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
    """The position of a training: its epoch and step.

    Attributes:
        epoch: Completed epochs.
        step: Completed steps of the epoch that is not.
        sums: The sums of what `Steps.train` returned in those steps.
        seconds: Spent so far by all the processes that worked on it: wall clock, CPU, and waiting for data.
        rows: A row of the log for each completed epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"wall": 0.0, "cpu": 0.0, "wait": 0.0})
    rows: list[Row] = dataclasses.field(default_factory=list)


@dataclass
class State:
    """The networks and the optimizer of a training, and where it is.

    Attributes:
        model: The network that is trained; it answers logits.
        average: The network of the moving average, or the same one where there is none: what is measured and kept.
        optimizer: The optimizer of all of the model's weights, frozen or not.
        freezable: The layers of the model that are frozen in some epochs, or in all.
        frozen: Whether they are frozen now.
        progress: The position of the training.
    """

    model: keras.Model
    average: keras.Model
    optimizer: keras.optimizers.Optimizer
    freezable: tuple[Layer, ...] = ()
    frozen: bool = False
    progress: Progress = dataclasses.field(default_factory=Progress)

    @property
    def has_average(self) -> bool:
        """True if the moving average is a network of its own."""
        return self.average is not self.model

    def freeze(self, frozen: bool) -> None:
        """Freezes the layers that are to be, or trains them with the others."""
        self.frozen = frozen
        for layer in self.freezable:
            layer.trainable = not frozen

    def variables(self) -> dict[str, keras.Variable]:
        """Everything that a step changes, by a name that every process of this training gives it."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        if self.has_average:
            groups["average"] = self.average.variables
        return {
            f"{group}/{index}/{variable.name}": variable
            for group, variables in groups.items()
            for index, variable in enumerate(variables)
        }


def create_state(recipe: Recipe, start: Start, dataset: Dataset, steps_per_epoch: int) -> State:
    """Creates the state that a training of the recipe begins with, from its seed; call it in the strategy's scope.

    Args:
        recipe: The recipe, with a settled dtype.
        start: The weights to start from; they are not loaded here.
        dataset: The dataset to train on.
        steps_per_epoch: Steps of an epoch, for the learning rate's schedule.

    Raises:
        ValueError: If the recipe asks for what its network or optimizer cannot do.
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
    # For callbacks, which look for the optimizer at the model.
    model.compile(optimizer)
    return State(model, average, optimizer, freezable)


class Clock:
    """Seconds of wall clock, CPU and waiting, added to those of the processes before this one.

    Args:
        before: Their seconds, as in `Progress.seconds`.
    """

    def __init__(self, before: dict[str, float]) -> None:
        self._before = dict(before)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, waited: float = 0.0) -> dict[str, float]:
        """The seconds so far; ``waited`` are those of the epoch that is not over."""
        return {
            "wall": self._before["wall"] + time.perf_counter() - self._wall,
            "cpu": self._before["cpu"] + time.process_time() - self._cpu,
            "wait": self._before["wait"] + waited,
        }

    def settle(self, waited: float) -> None:
        """Adds the waiting of a finished epoch to the total."""
        self._before["wait"] += waited
