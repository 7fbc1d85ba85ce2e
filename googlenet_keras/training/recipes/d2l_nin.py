"""Trains Network in Network as the course does: plain SGD at 0.05, batches of 128, ten epochs, 224x224.

::

    python -m googlenet_keras.train --recipe d2l_nin --output runs/d2l_nin

The course's notebook ends with a test accuracy of 0.865, as read from its curve; the Chinese edition, which has a
learning rate of 0.1, ends with 0.790. We have not run the recipe at 224x224. At 96x96 (``--input-size 96``, seed 0), it
ended with 0.7323, because the network never learned one of the ten classes; docs/study.md explains why.

Source: d2l-ai/d2l-en chapter_convolutional-modern/nin.md, ``NiN(lr=0.05)``.
"""

from googlenet_keras.training.recipe import Recipe

# The network itself has a dropout of 0.5, so the recipe sets none.
RECIPE = Recipe(
    model="nin",
    dtype="float32",
    input_size=224,
    learning_rate=0.05,
    epochs=10,
)
