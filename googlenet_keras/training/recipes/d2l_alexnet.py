"""Trains AlexNet as the course does: plain SGD at a learning rate of 0.01, batches of 128, ten epochs, 224x224.

::

    python -m googlenet_keras.train --recipe d2l_alexnet --output runs/d2l_alexnet

The course reports a test accuracy of 0.883. Its AlexNet has 96-256-384-384-256 filters and 46,764,746 parameters;
`alexnet`, the most similar network in this package, is torchvision's, with 64-192-384-256-256 filters and dropout
before its dense layers instead of after them. We have not run the recipe at 224x224. At 96x96 (``--input-size 96``,
seed 0), it ended with 0.8980; docs/study.md has more about this run.

Source: d2l-ai/d2l-zh chapter_convolutional-modern/alexnet.md; the accuracy is that of its PyTorch slides.
"""

from googlenet_keras.training.recipe import Recipe

# The learning rate is a tenth of GoogLeNet's.
RECIPE = Recipe(
    model="alexnet",
    dtype="float32",
    input_size=224,
    learning_rate=0.01,
    epochs=10,
)
