"""Muon: momentum that is orthogonalized before each step, for networks of convolutions and batch normalization.

Keras's own Muon leaves every convolution to AdamW, for it takes weights of two dimensions alone. That a convolution's
kernel counts as the matrix of its outputs by all of its inputs, that its norm is held, and that three iterations are
enough is from KellerJordan/cifar10-airbench, airbench94_muon.py.
"""

import math
from typing import Any

import keras
from keras import ops

# Of the iteration's polynomial a x + b x^3 + c x^5 (K. Jordan et al., "Muon: an optimizer for hidden layers", 2024).
# Three of it take every singular value between 0.02 and 1 to between 0.6 and 1.3, and smaller ones to some 41 times.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 3


@keras.saving.register_keras_serializable(package="googlenet_keras")
class Muon(keras.optimizers.SGD):
    """Stochastic gradient descent that orthogonalizes the steps of all convolutions' kernels.

    Such a kernel's norm is set to the root of its number of filters before each step, so that a step turns it by an
    angle that the learning rate alone decides. Behind batch normalization a kernel's scale changes nothing else; in
    networks without it, it would. All other weights take the plain step of the same learning rate and momentum.

    Args:
        learning_rate: A number or Keras's schedule.
        momentum: A number above 0 and at most 1, as in `keras.optimizers.SGD`.
        nesterov: Whether Nesterov's momentum is used.
        compute_dtype: The dtype of the iteration's matrix products: ``"float32"``, or ``"bfloat16"``, for which Muon
            was designed.
        **options: Further arguments of `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.02,
        momentum: float = 0.9,
        nesterov: bool = True,
        compute_dtype: str = "float32",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, momentum=momentum, nesterov=nesterov, **options)
        self.compute_dtype = compute_dtype

    @staticmethod
    def orthogonalizes(variable: Any) -> bool:
        """True if this is a convolution's kernel."""
        return len(variable.shape) == 4

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; called by Keras."""
        if not self.orthogonalizes(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        average = self.momentums[self._get_variable_index(variable)]
        self.assign(average, self.momentum * average + gradient)
        step = self.momentum * average + gradient if self.nesterov else average
        filters = variable.shape[-1]
        step = orthogonalize(ops.reshape(step, (-1, filters)), self.compute_dtype)
        scale = math.sqrt(filters) / ops.norm(ops.reshape(variable, (-1,)))
        self.assign(variable, variable * scale - learning_rate * ops.reshape(step, variable.shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "compute_dtype": self.compute_dtype}


def orthogonalize(matrix: Any, compute_dtype: str = "float32") -> Any:
    """The nearest matrix of orthonormal rows or columns, roughly: singular values become about 1, or stay 0.

    Args:
        matrix: Floating-point, (rows, columns).
        compute_dtype: The dtype of the matrix products.

    Returns:
        A tensor of the same shape and dtype.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = ops.cast(matrix / (ops.norm(matrix) + 1e-7), compute_dtype)
    x = x if wide else ops.transpose(x)
    for _ in range(ITERATIONS):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.cast(x if wide else ops.transpose(x), matrix.dtype)
