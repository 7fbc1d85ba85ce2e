"""Trains GoogLeNet with batch normalization on ImageNet, with today's usual settings.

::

    python -m googlenet_keras.train --recipe bn_imagenet --strategy mirrored --output runs/bn_imagenet

The recipe uses a learning rate of 0.1 per 256 images with five epochs of warm-up (arXiv 1706.02677, sections 2.1 and
2.2), a cosine schedule, label smoothing of 0.1 (arXiv 1512.00567, section 7), a weight decay of 5e-5, and no auxiliary
heads, because batch normalization makes them unnecessary (arXiv 1502.03167, section 4.2.1, removes dropout and weakens
the decay for the same reason). We have not run the recipe, because it needs ImageNet and GPUs.
"""

from googlenet_keras.training.recipe import Recipe

# The batch size is meant for eight GPUs with 32 images each; for another one, scale the learning rate accordingly.
RECIPE = Recipe(
    model="googlenet_bn",
    dataset="imagenet2012",
    validation_split="validation",
    input_size=224,
    batch_size=256,
    epochs=90,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    schedule="cosine",
    warmup_epochs=5.0,
    weight_decay=5e-5,
    label_smoothing=0.1,
    average_decay=0.9999,
    flip=0.5,
    checkpoint_steps=2000,
)
