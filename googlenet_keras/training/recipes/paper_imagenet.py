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

from dataclasses import dataclass

from googlenet_keras.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class PaperImageNet(Recipe):
    """Section 6, and BVLC's numbers where it has none."""

    model: str = "googlenet_bvlc"
    dataset: str = "imagenet2012"
    validation_split: str = "validation"
    input_size: int = 224
    batch_size: int = 32
    epochs: int = 60
    aux_heads: bool = True
    learning_rate: float = 0.01
    momentum: float = 0.9
    schedule: str = "staircase"
    decay_rate: float = 0.96
    decay_epochs: float = 8.0
    weight_decay: float = 2e-4
    average_decay: float | None = 0.9999
    flip: float = 0.5
    distort: bool = True
    random_interpolation: bool = True
    checkpoint_steps: int = 5000


RECIPE = PaperImageNet
