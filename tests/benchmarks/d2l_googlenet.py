"""Builds GoogLeNet like the course's TensorFlow listing, as a peer for `googlenet_keras.benchmark train --peer`.

The network consists of subclassed Inception blocks in stages of `keras.Sequential`, computes in float32, and is
trained with plain SGD. The structure is that of "Dive into Deep Learning", d2l-en
chapter_convolutional-modern/googlenet.md; the code is our own. At 96x96x1 it has 5,977,530 parameters.
"""

from typing import Any

import keras
from keras import layers


class Inception(keras.Model):
    """Four branches side by side.

    Args:
        c1: Filters of the 1x1 branch.
        c2: Filters of the 1x1 and the 3x3 convolution of the second branch.
        c3: Filters of the 1x1 and the 5x5 convolution of the third branch.
        c4: Filters of the 1x1 convolution after the pooling.
    """

    def __init__(self, c1: int, c2: tuple[int, int], c3: tuple[int, int], c4: int) -> None:
        super().__init__()
        self.branch1 = layers.Conv2D(c1, 1, activation="relu")
        self.branch2_1 = layers.Conv2D(c2[0], 1, activation="relu")
        self.branch2_2 = layers.Conv2D(c2[1], 3, padding="same", activation="relu")
        self.branch3_1 = layers.Conv2D(c3[0], 1, activation="relu")
        self.branch3_2 = layers.Conv2D(c3[1], 5, padding="same", activation="relu")
        self.branch4_1 = layers.MaxPooling2D(3, 1, padding="same")
        self.branch4_2 = layers.Conv2D(c4, 1, activation="relu")
        self.join = layers.Concatenate()

    def call(self, x: Any) -> Any:
        """Returns the joined branches; input and output have the shape (batch, height, width, channels)."""
        branch2 = self.branch2_2(self.branch2_1(x))
        branch3 = self.branch3_2(self.branch3_1(x))
        return self.join([self.branch1(x), branch2, branch3, self.branch4_2(self.branch4_1(x))])


def build() -> keras.Model:
    """Builds the network, which outputs 10 logits and creates its weights with the first batch of images.

    The images have the shape (batch, height, width, 1).
    """
    stem = [
        layers.Conv2D(64, 7, strides=2, padding="same", activation="relu"),
        layers.MaxPooling2D(3, 2, padding="same"),
    ]
    second = [
        layers.Conv2D(64, 1, activation="relu"),
        layers.Conv2D(192, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(3, 2, padding="same"),
    ]
    third = [
        Inception(64, (96, 128), (16, 32), 32),
        Inception(128, (128, 192), (32, 96), 64),
        layers.MaxPooling2D(3, 2, padding="same"),
    ]
    fourth = [
        Inception(192, (96, 208), (16, 48), 64),
        Inception(160, (112, 224), (24, 64), 64),
        Inception(128, (128, 256), (24, 64), 64),
        Inception(112, (144, 288), (32, 64), 64),
        Inception(256, (160, 320), (32, 128), 128),
        layers.MaxPooling2D(3, 2, padding="same"),
    ]
    fifth = [
        Inception(256, (160, 320), (32, 128), 128),
        Inception(384, (192, 384), (48, 128), 128),
        layers.GlobalAveragePooling2D(),
        layers.Flatten(),
    ]
    stages = [keras.Sequential(stage) for stage in (stem, second, third, fourth, fifth)]
    return keras.Sequential([*stages, layers.Dense(10)])
