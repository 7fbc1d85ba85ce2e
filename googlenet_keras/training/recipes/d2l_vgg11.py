"""Trains VGG-11 as the course does: a quarter of the filters, plain SGD at 0.05, five epochs, 224x224.

::

    python -m googlenet_keras.train --recipe d2l_vgg11 --output runs/d2l_vgg11

The course reports test accuracies of 0.857, 0.888, 0.900, 0.903 and 0.909 after the five epochs. We have not run the
recipe at 224x224, because an epoch takes an hour on two cores with AVX2; docs/study.md has the results of the same
training at 96x96.

Source: d2l-ai/d2l-zh chapter_convolutional-neural-networks/vgg.md, first edition, with ratio 4 and Xavier
initialization, which is Keras's default. The course scales its images to [0, 1]; here they are standardized, as `vgg11`
expects.
"""

from googlenet_keras.training.recipe import Recipe

# `width` affects convolutions only, so the dense layers keep their 4,096 units.
RECIPE = Recipe(
    model="vgg11",
    width=0.25,
    dtype="float32",
    input_size=224,
    learning_rate=0.05,
    epochs=5,
)
