"""The course's training of its GoogLeNet: plain SGD at 0.1, batches of 128, ten epochs, 96x96.

::

    python -m googlenet_keras.train --recipe d2l_fashion_mnist --output runs/d2l_fashion_mnist

In float32, like the course's, it ends at 0.9023 test accuracy after 6,750 seconds of CPU on one core of an AMD Zen 5,
past 0.899 in the eighth epoch.

Source: d2l-ai/d2l-en chapter_convolutional-modern/googlenet.md, whose TensorFlow version ends at 0.899 test accuracy.
"""

from googlenet_keras.training.recipe import Recipe

# The yardstick.
RECIPE = Recipe(
    model="googlenet_d2l",
    dtype="float32",
    learning_rate=0.1,
    epochs=10,
)
