"""Images and labels by a dataset's name, in batches; as a command, ``python -m googlenet_keras.data``.

Names are looked up when they are first used, so that the command's ``--help`` costs next to nothing.
"""

from googlenet_keras import lazy

_HOMES = {
    "googlenet_keras.data.archives": ("prepare_fashion_mnist",),
    "googlenet_keras.data.augmentation": ("Augmentation",),
    "googlenet_keras.data.datasets": ("open_dataset", "trained_split"),
    "googlenet_keras.data.pipeline": ("Batches", "Timed"),
    "googlenet_keras.data.splits": ("Dataset", "Split"),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)
