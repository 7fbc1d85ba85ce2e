"""Trains GoogLeNet as the course does: plain SGD at a learning rate of 0.1, batches of 128, ten epochs, 96x96.

::

    python -m googlenet_keras.train --recipe d2l_fashion_mnist --output runs/d2l_fashion_mnist

In float32, which the course also uses, the training ends with a test accuracy of 0.9023 after 6,750 seconds of CPU time
on one core of an AMD Zen 5; it exceeds 0.899 in the eighth epoch.

Source: d2l-ai/d2l-en chapter_convolutional-modern/googlenet.md, whose TensorFlow version ends with a test accuracy of
0.899.
"""

from googlenet_keras.training.recipe import Recipe

# The baseline with which other recipes are compared.
RECIPE = Recipe(
    model="googlenet_d2l",
    dtype="float32",
    learning_rate=0.1,
    epochs=10,
)
