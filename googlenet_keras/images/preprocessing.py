"""Defines how images must be preprocessed for the published weights of each model."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras
import numpy as np


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """Converts pixels in [0, 255] to the network's input as ``(pixels - mean) * scale``.

    Attributes:
        channels: The order of the channels in the network's input. The pixels to convert are always RGB.
        mean: The mean of each channel, in the network's order, of pixels in [0, 255]. If the network does not have
            three channels, it takes the average of the conversions of the three channels; see `affine`.
        scale: The factor that is applied after the mean is subtracted: one for all channels, or one for each in the
            network's order.
        crop_fraction: The fraction of the image's shorter side that the central crop keeps when a whole image is
            resized to the network's input.
    """

    channels: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float]
    scale: float | tuple[float, float, float]
    crop_fraction: float

    def __call__(self, x: Any) -> Any:
        """Preprocesses pixels; see `googlenet_keras.preprocess_input`."""
        channels = x.shape[-1]
        mean, scale = self.affine(channels)
        if isinstance(x, np.ndarray):
            pixels, flip = x.astype("float32"), np.flip
        else:
            pixels, flip = keras.ops.cast(x, "float32"), keras.ops.flip
        if self.channels == "BGR" and channels == len(self.mean):
            pixels = flip(pixels, axis=-1)
        return (pixels - mean.astype("float32")) * scale.astype("float32")

    def affine(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the mean to subtract and then the scale to multiply by, per channel in the network's order.

        Args:
            channels: The number of channels that the network takes.
        """
        mean, scale = np.asarray(self.mean), np.broadcast_to(self.scale, len(self.mean))
        if channels != len(mean):
            # The average of (x - m) * s over the channels has the same form.
            mean, scale = np.average(mean, weights=scale, keepdims=True), np.mean(scale, keepdims=True)
        return mean, scale

    def as_dict(self) -> dict[str, Any]:
        """Returns the attributes as a dictionary for cards and JSON."""
        return asdict(self)


# The mean of the training images of ImageNet, rounded as in BVLC's models/bvlc_googlenet/train_val.prototxt
# (mean_value).
BLUE_MEAN, GREEN_MEAN, RED_MEAN = 104.0, 117.0, 123.0
# This keeps 224 of 256 pixels (BVLC, torchvision), and is the central_fraction of TF-slim's
# inception_preprocessing.py.
IMAGENET_CROP = 0.875

MEAN_SUBTRACTED_RGB = Preprocessing(mean=(RED_MEAN, GREEN_MEAN, BLUE_MEAN), scale=1.0, crop_fraction=IMAGENET_CROP)
MEAN_SUBTRACTED_BGR = Preprocessing(
    channels="BGR", mean=(BLUE_MEAN, GREEN_MEAN, RED_MEAN), scale=1.0, crop_fraction=IMAGENET_CROP
)
MINUS_ONE_TO_ONE = Preprocessing(mean=(127.5, 127.5, 127.5), scale=1 / 127.5, crop_fraction=IMAGENET_CROP)
# torchvision/transforms/_presets.py (ImageClassification) gives these numbers for pixels in [0, 1].
STANDARDIZED_RGB = Preprocessing(
    mean=(255 * 0.485, 255 * 0.456, 255 * 0.406),
    scale=(1 / (255 * 0.229), 1 / (255 * 0.224), 1 / (255 * 0.225)),
    crop_fraction=IMAGENET_CROP,
)
# The mean of ImageNet with the decimals that the authors of VGG give; the source is
# keras/src/applications/imagenet_utils.py (mode="caffe").
MEAN_SUBTRACTED_BGR_VGG = Preprocessing(
    channels="BGR", mean=(103.939, 116.779, 123.68), scale=1.0, crop_fraction=IMAGENET_CROP
)
ZERO_TO_ONE = Preprocessing(mean=(0.0, 0.0, 0.0), scale=1 / 255, crop_fraction=1.0)
