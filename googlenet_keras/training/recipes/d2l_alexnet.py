"""The course's training of its AlexNet: plain SGD at 0.01, batches of 128, ten epochs, 224x224.

::

    python -m googlenet_keras.train --recipe d2l_alexnet --output runs/d2l_alexnet

The course saw 0.883 test accuracy. Its AlexNet has 96-256-384-384-256 filters and 46,764,746 parameters; `alexnet`, the
nearest network here, is torchvision's, with 64-192-384-256-256 filters and dropout before its dense layers instead of
after them. We have not run it at 224x224. At 96x96 (``--input-size 96``, seed 0), it ended at 0.8980; see docs/study.md.

Source: d2l-ai/d2l-zh chapter_convolutional-modern/alexnet.md; the figure is that of its PyTorch slides.
"""

from googlenet_keras.training.recipe import Recipe

# A tenth of GoogLeNet's learning rate.
RECIPE = Recipe(
    model="alexnet",
    dtype="float32",
    input_size=224,
    learning_rate=0.01,
    epochs=10,
)
