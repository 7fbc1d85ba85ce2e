"""Muon, an optimizer that orthogonalizes the momentum before each step, for networks with batch normalization.

Keras's own Muon handles only weights with two dimensions, and leaves all convolutions to AdamW. This one treats the
kernel of a convolution as a matrix of its outputs by all of its inputs, keeps the norm of the kernel constant, and
makes three iterations. These choices come from KellerJordan/cifar10-airbench, airbench94_muon.py.
"""

import math
from typing import Any

import keras
from keras import ops

# The coefficients of the polynomial a x + b x^3 + c x^5 of the iteration (K. Jordan et al., "Muon: an optimizer for
# hidden layers", 2024). Three iterations map singular values between 0.02 and 1 to values between 0.6 and 1.3, and
# multiply smaller ones by about 41.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 3


@keras.saving.register_keras_serializable(package="googlenet_keras")
class Muon(keras.optimizers.SGD):
    """Stochastic gradient descent that orthogonalizes the steps of all convolution kernels.

    Before each step, the norm of a convolution kernel is set to the square root of its number of filters, so that the
    angle by which the step turns the kernel depends on the learning rate alone. If batch normalization follows the
    convolution, the scale of the kernel has no other effect; without batch normalization, it would change the output.
    All other weights take a plain SGD step with the same learning rate and momentum.

    Args:
        learning_rate: A number or a Keras schedule.
        momentum: A number above 0 and at most 1, as in `keras.optimizers.SGD`.
        nesterov: Whether to use Nesterov's momentum.
        compute_dtype: The dtype of the matrix products in the iteration: ``"float32"``, or ``"bfloat16"``, for which
            Muon was designed.
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
        """Returns True if a variable is a convolution kernel, whose steps are orthogonalized."""
        return len(variable.shape) == 4

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable; called by Keras."""
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
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "compute_dtype": self.compute_dtype}


def orthogonalize(matrix: Any, compute_dtype: str = "float32") -> Any:
    """Returns approximately the nearest matrix with orthonormal rows or columns.

    The singular values become about 1; those that are 0 remain 0.

    Args:
        matrix: A floating-point tensor of shape (rows, columns).
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
