"""Optimizers with a learning rate of its own for every variable, some of which join later.

The variables of an optimizer are there from the start, whatever is frozen, so that all checkpoints of a training have
one form.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from googlenet_keras.training.muon import Muon


class ByVariable(keras.optimizers.Optimizer):
    """Mixed into a Keras optimizer: multiplies the learning rate of each variable.

    Args:
        factors: The factors of the variables that the optimizer is built for, in their order.
        **options: The optimizer's.
    """

    def __init__(self, *, factors: Sequence[float], **options: Any) -> None:
        super().__init__(**options)
        self.factors = tuple(factors)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; called by Keras."""
        factor = self.factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, ops.cast(learning_rate * factor, variable.dtype))


class SGDByVariable(ByVariable, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with factors."""


class MuonByVariable(ByVariable, Muon):
    """`Muon` with factors."""


class AdamWByVariable(ByVariable, keras.optimizers.Adam):
    """`keras.optimizers.AdamW` with factors, which the decay has too, and variables that join later.

    Adam divides by a running mean of squares that starts at zero, and makes up for it by the number of steps. A
    variable that is unfrozen later has made none: else its first steps would be up to seven times too long.

    Args:
        decays: The weight decay of each variable, as a share of its learning rate.
        joins: The step at which each variable is first trained.
        **options: Those of `keras.optimizers.Adam`, and ``factors``.
    """

    def __init__(self, *, decays: Sequence[float], joins: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.decays, self.joins = tuple(decays), tuple(joins)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; called by Keras."""
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
