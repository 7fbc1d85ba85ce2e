"""Computes where on an image a network sees a class, with Grad-CAM and SmoothGrad."""

import numpy as np
import tensorflow as tf

from googlenet_keras.explain.subject import Subject
from googlenet_keras.models.views import feature_extractor

# The authors use noise of 10 to 20 % of the range (Smilkov et al., section 4.1) and see little gain beyond 50 images.
# The result of half as many images is hard to tell from that of 16.
SAMPLES, NOISE = 16, 0.15
BATCH = 8  # noisy images at a time, so that a large network fits into the memory


def grad_cam(subject: Subject, image: np.ndarray, class_index: int, *, layer: str | None = None) -> np.ndarray:
    """Computes how much each position of a layer's feature maps contributes to a class.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        class_index: The class, from 0.
        layer: The layer of the feature maps; None means the last one before the classifier.

    Returns:
        A float32 array (rows, columns) of the size of that layer's feature maps, never negative, in units of the logit.

    Raises:
        ValueError: If there is no such layer, or the image does not have the network's size.

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
        noise: The standard deviation of the noise, as a fraction of the image's range of pixel values.
        seed: The seed of the noise.

    Returns:
        A float32 array (height, width), the absolute value of the mean gradient with respect to each pixel, summed over
        the channels, per unit of [0, 255].

    Raises:
        ValueError: If the image does not have the network's size.

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
    """Computes the gradient of a class's logit with respect to the pixels.

    Args:
        subject: The network.
        images: float32 pixels (batch, height, width, channels) in [0, 255].
        class_index: The class, from 0.

    Returns:
        A float32 tensor of the shape of the images, per unit of [0, 255].
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        logit = subject.model(subject.preprocessing(images), training=False)[:, class_index]
    return tape.gradient(logit, images)
