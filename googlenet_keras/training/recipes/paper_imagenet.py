"""The paper's training on ImageNet.

::

    python -m googlenet_keras.train --recipe paper_imagenet --strategy mirrored --output runs/paper_imagenet

Source: arXiv 1409.4842, section 6: SGD with momentum 0.9, the learning rate falling by 4% every 8 epochs, Polyak
averaging, crops of 8% to 100% of the area, photometric distortion, random interpolation; section 5: the heads' losses
weighed 0.3. The paper prints neither batch, learning rate, weight decay nor length: these are BVLC's
(models/bvlc_googlenet/quick_solver.prototxt: 32 images, 0.01, 2e-4, 2,400,000 steps, 60 epochs). Not run by this
package's authors: it needs ImageNet and GPUs. Published: 68.7% top-1 (BVLC), 69.8% (7 networks and 144 crops: 93.3%
top-5).
"""

from googlenet_keras.training.recipe import Recipe

# Section 6, and BVLC's numbers where it has none.
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
