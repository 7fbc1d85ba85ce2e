"""Trains GoogLeNet on ImageNet as the paper does.

::

    python -m googlenet_keras.train --recipe paper_imagenet --strategy mirrored --output runs/paper_imagenet

Source: arXiv 1409.4842, section 6: SGD with momentum 0.9, a learning rate that falls by 4% every 8 epochs, Polyak
averaging, crops of 8% to 100% of the area, photometric distortion and random interpolation; section 5: weights of 0.3
for the losses of the auxiliary heads. The paper gives no batch size, learning rate, weight decay or number of steps;
these are BVLC's (models/bvlc_googlenet/quick_solver.prototxt: 32 images, 0.01, 2e-4, 2,400,000 steps, 60 epochs). We
have not run the recipe, because it needs ImageNet and GPUs. The published accuracies are 68.7% top-1 (BVLC) and 69.8%
(7 networks and 144 crops: 93.3% top-5).
"""

from googlenet_keras.training.recipe import Recipe

# The values of section 6, and BVLC's where the paper gives none.
RECIPE = Recipe(
    model="googlenet_bvlc",
    dataset="imagenet2012",
    validation_split="validation",
    input_size=224,
    batch_size=32,
    epochs=60,
    aux_heads=True,
    learning_rate=0.01,
    momentum=0.9,
    schedule="staircase",
    decay_rate=0.96,
    decay_epochs=8.0,
    weight_decay=2e-4,
    average_decay=0.9999,
    flip=0.5,
    distort=True,
    random_interpolation=True,
    checkpoint_steps=5000,
)
