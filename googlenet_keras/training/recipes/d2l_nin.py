"""The course's training of Network in Network: plain SGD at 0.05, batches of 128, ten epochs, 224x224.

::

    python -m googlenet_keras.train --recipe d2l_nin --output runs/d2l_nin

The course's notebook ends at 0.865 test accuracy, as read from its curve; the Chinese edition, at a learning rate of
0.1, ends at 0.790. We have not run it at 224x224. At 96x96 (``--input-size 96``, seed 0), it ended at 0.7323, because the
network never learned one of the ten classes; docs/study.md explains why.

Source: d2l-ai/d2l-en chapter_convolutional-modern/nin.md, ``NiN(lr=0.05)``.
"""

from googlenet_keras.training.recipe import Recipe

# The network has its dropout of 0.5 by itself.
RECIPE = Recipe(
    model="nin",
    dtype="float32",
    input_size=224,
    learning_rate=0.05,
    epochs=10,
)
