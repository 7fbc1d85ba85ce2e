"""Defines optimizers that have a separate learning rate for each variable, and can start to train variables later.

An optimizer is built for all variables from the start, including those of frozen layers, so that all checkpoints of a
training have the same structure.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from googlenet_keras.training.muon import Muon


class ByVariable(keras.optimizers.Optimizer):
    """A mixin for Keras optimizers that multiplies the learning rate of each variable by a factor.

    Args:
        factors: The factors of the variables that the optimizer is built for, in the order of the variables.
        **options: The arguments of the optimizer.
    """

    def __init__(self, *, factors: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.factors = tuple(factors)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; called by Keras."""
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, ops.cast(learning_rate * factor, variable.dtype))


class SGDByVariable(ByVariable, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with a factor of the learning rate for each variable."""


class MuonByVariable(ByVariable, Muon):
    """`Muon` with a factor of the learning rate for each variable."""


class AdamWByVariable(ByVariable, keras.optimizers.Adam):
    """`keras.optimizers.AdamW` with a factor of the learning rate for each variable, and variables that start later.

    The factors apply to the weight decay as well.

    Adam divides by a running mean of squared gradients, which starts at zero, and corrects this bias according to the
    number of steps. For a variable that is unfrozen later, the steps must be counted from that moment, because its
    first steps would otherwise be up to seven times too large.

    Args:
        decays: The weight decay of each variable, as a share of its learning rate.
        joins: The step at which the training of each variable starts.
        **options: The arguments of `keras.optimizers.Adam`, and ``factors``.
    """

    def __init__(self, *, decays: Sequence[float], joins: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.decays, self.joins = tuple(decays), tuple(joins)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; called by Keras."""
        index = self._get_variable_index(variable)
        if self.decays[index]:
            lost = ops.cast(self.decays[index] * self.factors[index] * learning_rate, variable.dtype)
            self.assign_sub(variable, variable * lost)
        if self.joins[index]:
            steps = ops.cast(self.iterations + 1, "float32")
            learning_rate = learning_rate * self._correction(steps - self.joins[index]) / self._correction(steps)
        super().update_step(gradient, variable, learning_rate)

    def _correction(self, steps: Any) -> Any:
        """Returns Adam's bias correction of the learning rate after a number of steps."""
        return ops.sqrt(1 - ops.power(self.beta_2, steps)) / (1 - ops.power(self.beta_1, steps))
