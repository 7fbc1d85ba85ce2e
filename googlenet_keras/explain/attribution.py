"""Computes where on an image a network sees a class: Grad-CAM and SmoothGrad."""

import numpy as np
import tensorflow as tf

from googlenet_keras.explain.subject import Subject
from googlenet_keras.models.views import feature_extractor

# Noise of 10 to 20 % of the range, as the authors (Smilkov et al., section 4.1); they see little gain beyond 50 images,
# and half of that is hard to tell from 16.
SAMPLES, NOISE = 16, 0.15
BATCH = 8  # noisy images at a time: what a large network has memory for


def grad_cam(subject: Subject, image: np.ndarray, class_index: int, *, layer: str | None = None) -> np.ndarray:
    """Computes how much each position of a layer's feature maps contributes to a class.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        class_index: The class, from 0.
        layer: The layer of the feature maps; None is the last before the classifier.

    Returns:
        float32 (rows, columns) of that layer's maps, nowhere negative; in units of the logit.

    Raises:
        ValueError: If there is no such layer, or the image is not of the network's size.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2.
    """
    name = subject.maps(layer or subject.last_maps()).name
    view = feature_extractor(subject.model, [name, subject.model.layers[-1].name])
    images = subject.preprocessing(subject.batch(image))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        answers = view(images, training=False)
        maps = answers[name]
        logit = answers[subject.model.layers[-1].name][:, class_index]
    gradient = tf.cast(tape.gradient(logit, maps), tf.float32)
    weights = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * tf.cast(maps, tf.float32), axis=-1))[0].numpy()


def smooth_grad(
    subject: Subject,
    image: np.ndarray,
    class_index: int,
    *,
    samples: int = SAMPLES,
    noise: float = NOISE,
    seed: int = 0,
) -> np.ndarray:
    """Computes how much each pixel changes the logit of a class, on average over noisy copies of the image.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        class_index: The class, from 0.
        samples: The number of noisy copies; a single one without noise is the plain gradient.
        noise: Standard deviation, as a part of the image's range of pixels.
        seed: The seed of the noise.

    Returns:
        float32 (height, width): the mean gradient by the pixel, its size summed over the channels; per unit of
        [0, 255].

    Raises:
        ValueError: If the image is not of the network's size.

    Source: Smilkov et al., "SmoothGrad", arXiv 1706.03825.
    """
    batch = subject.batch(image)
    deviation = noise * float(np.ptp(image))
    total = tf.zeros_like(batch[0])
    for start in range(0, samples, BATCH):
        count = min(BATCH, samples - start)
        drawn = tf.random.stateless_normal((count, *batch.shape[1:]), (seed, start), 0.0, deviation)
        total += tf.reduce_sum(pixel_gradient(subject, batch + drawn, class_index), axis=0)
    return tf.reduce_sum(tf.abs(total / samples), axis=-1).numpy()


def pixel_gradient(subject: Subject, images: tf.Tensor, class_index: int) -> tf.Tensor:
    """The gradient of a class's logit by the pixels.

    Args:
        subject: The network.
        images: float32 pixels (batch, height, width, channels) in [0, 255].
        class_index: The class, from 0.

    Returns:
        float32, of the images' shape; per unit of [0, 255].
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logit = subject.model(subject.preprocessing(images), training=False)[:, class_index]
    return tape.gradient(logit, images)
