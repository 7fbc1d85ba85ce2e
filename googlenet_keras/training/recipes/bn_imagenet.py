"""ImageNet by GoogLeNet with batch normalization, in the manner of today.

::

    python -m googlenet_keras.train --recipe bn_imagenet --strategy mirrored --output runs/bn_imagenet

Learning rate 0.1 for each 256 images with five epochs of warm-up (arXiv 1706.02677, sections 2.1 and 2.2), a cosine,
label smoothing 0.1 (arXiv 1512.00567, section 7), weight decay 5e-5 and no auxiliary heads, which batch normalization
makes needless (arXiv 1502.03167, section 4.2.1 removes dropout and weakens the decay for the same reason). Not run by
this package's authors: it needs ImageNet and GPUs.
"""

from googlenet_keras.training.recipe import Recipe

# For eight GPUs of 32 images each; scale the learning rate with the batch.
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
