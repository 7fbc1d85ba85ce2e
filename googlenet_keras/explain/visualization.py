"""Finds images that a channel or a class responds to most; DeepDream starts this optimization from a photograph.

Source: Olah et al., "Feature Visualization", Distill 2017, and its code, tensorflow/lucid (optvis/param and
optvis/transform.py), from which the constants are taken.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.explain.subject import Subject
from googlenet_keras.models.views import feature_extractor

# Square root of the colour correlation matrix of ImageNet's images, a row per colour (lucid, optvis/param/color.py).
COLOUR_CORRELATION = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
COLOURS = (COLOUR_CORRELATION / np.linalg.norm(COLOUR_CORRELATION, axis=0).max()).astype("float32")
INITIAL_DEVIATION = 0.01
LEARNING_RATE = 0.05
STEPS = 256
# These are smaller, so that the photograph remains recognizable.
DREAM_LEARNING_RATE, DREAM_STEPS = 0.008, 64
PART_JITTERED = 1 / 14  # of the shorter side, like lucid's 16 of 224 pixels
LARGEST_TURN = math.radians(10)
SCALES = (0.9, 1.1)
DARKEST = 0.02  # value of a photograph in [0, 1], because the sigmoid that bounds the pixels never reaches 0


@dataclass(frozen=True)
class Target:
    """The channel or class that an image is optimized for.

    Attributes:
        name: The name that is shown to the user.
        layer: The name of the layer whose response is maximized.
        channel: The channel of the layer, or the class; None means all channels, as in DeepDream.
    """

    name: str
    layer: str
    channel: int | None


def find_target(subject: Subject, text: str) -> Target:
    """Finds the target that a text names: ``LAYER:CHANNEL``, or the name or number of a class.

    Args:
        subject: The network.
        text: The text, such as ``inception_4c:12``, ``Ankle boot`` or ``9``.

    Raises:
        ValueError: If there is no such layer, channel or class; the message suggests a similar name.
    """
    layer, colon, channel = text.rpartition(":")
    if not colon or text in subject.labels:
        if any(text == one.name for one in subject.model.layers):
            raise ValueError(f"State which channel of the layer is meant, such as {text}:0. Received: {text!r}")
        index = subject.class_index(text)
        return Target(subject.labels[index], subject.model.layers[-1].name, index)
    channels = subject.maps(layer).output.shape[-1]
    if not channel.isdecimal() or int(channel) >= channels:
        raise ValueError(f"The channels of {layer} are numbered from 0 to {channels - 1}. Received: {text!r}")
    return Target(text, layer, int(channel))


def visualize(
    subject: Subject,
    target: Target | str,
    *,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
    report: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Makes the image that a channel or a class responds to most.

    Args:
        subject: The network.
        target: The target of the optimization, or a text for `find_target`.
        steps: The number of steps of Adam.
        learning_rate: The learning rate of Adam.
        seed: The seed of the first image, which is nearly grey, and of the transformations.
        report: Called after each step with the number of steps done.

    Returns:
        float32 pixels (height, width, channels) in [0, 255], of the network's size.

    Raises:
        ValueError: If there is no such target, or `steps` is less than 1.
    """
    target = find_target(subject, target) if isinstance(target, str) else target
    shape = (2, *subject.size[:1], subject.size[1] // 2 + 1, subject.channels)
    start = np.random.default_rng(seed).normal(0, INITIAL_DEVIATION, shape).astype("float32")
    return _optimized(subject, target, start, steps, learning_rate, seed, report)


def dream(
    subject: Subject,
    image: np.ndarray,
    layer: str,
    *,
    steps: int = DREAM_STEPS,
    learning_rate: float = DREAM_LEARNING_RATE,
    seed: int = 0,
    report: Callable[[int], object] | None = None,
) -> np.ndarray:
    """Changes a photograph so that a layer responds more strongly to it, as DeepDream does.

    Args:
        subject: The network.
        image: Pixels (height, width, channels) in [0, 255], of the network's size.
        layer: The layer whose squared activations grow, such as ``inception_4c``.
        steps: The number of steps of Adam.
        learning_rate: The learning rate of Adam; a larger one changes the photograph more.
        seed: The seed of the transformations.
        report: Called after each step with the number of steps done.

    Returns:
        float32 pixels (height, width, channels) in [0, 255].

    Raises:
        ValueError: If there is no such layer, the image does not have the network's size, or `steps` is less than 1.

    Source: Mordvintsev et al., "Inceptionism", Google Research blog 2015.
    """
    target = Target(layer, subject.maps(layer).name, None)
    subject.batch(image)
    start = _spectrum(image)
    return _optimized(subject, target, start, steps, learning_rate, seed, report)


def _optimized(
    subject: Subject,
    target: Target,
    start: np.ndarray,
    steps: int,
    learning_rate: float,
    seed: int,
    report: Callable[[int], object] | None,
) -> np.ndarray:
    if steps < 1:
        raise ValueError(f"The number of steps must be at least 1. Received: {steps}")
    view = feature_extractor(subject.model, [target.layer])
    spectrum = keras.Variable(start, dtype="float32", name="spectrum")
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build([spectrum])

    @tf.function(autograph=False)
    def step(number: tf.Tensor) -> None:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(spectrum.value)
            image = 255 * _image(spectrum.value, subject.size)[tf.newaxis]
            answer = view(subject.preprocessing(_transformed(image, seed, number)), training=False)[target.layer]
            answer = tf.cast(answer, tf.float32)
            score = tf.reduce_mean(answer[..., target.channel] if target.channel is not None else answer**2)
            loss = -score
        optimizer.apply([tape.gradient(loss, spectrum.value)], [spectrum])

    for number in range(steps):
        step(tf.constant(number))
        if report:
            report(number + 1)
    return 255 * _image(spectrum.value, subject.size).numpy()


def _scale(size: tuple[int, int]) -> np.ndarray:
    """Returns the factor of each frequency, (height, width // 2 + 1), as natural images have energy 1 / frequency."""
    height, width = size
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    return (math.sqrt(height * width) / np.maximum(frequencies, 1 / max(size))).astype("float32")


def _image(spectrum: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Turns the parameters (2, height, width // 2 + 1, channels) into an image (height, width, channels) in [0, 1]."""
    scaled = tf.transpose(spectrum, (0, 3, 1, 2)) * _scale(size)
    planes = tf.signal.irfft2d(tf.complex(scaled[0], scaled[1]), fft_length=size) / 4
    image = tf.transpose(planes, (1, 2, 0))
    image.set_shape((*size, spectrum.shape[-1]))
    if spectrum.shape[-1] == len(COLOURS):
        image = tf.einsum("hwc,kc->hwk", image, COLOURS)
    return tf.sigmoid(image)


def _spectrum(image: np.ndarray) -> np.ndarray:
    """Turns pixels (height, width, channels) in [0, 255] into the parameters of an image; the inverse of `_image`."""
    bounded = np.clip(np.asarray(image, "float64") / 255, DARKEST, 1 - DARKEST)
    planes = 4 * np.log(bounded / (1 - bounded))
    if image.shape[-1] == len(COLOURS):
        planes = planes @ np.linalg.inv(COLOURS.T.astype("float64"))
    found = np.fft.rfft2(planes, axes=(0, 1)) / _scale(image.shape[:2])[..., None]
    return np.stack([found.real, found.imag]).astype("float32")


def _transformed(image: tf.Tensor, seed: int, number: tf.Tensor) -> tf.Tensor:
    """Shifts, scales and rotates an image (1, height, width, channels) at random, and mirrors it at its borders."""
    height, width = image.shape[1:3]
    drawn = tf.unstack(tf.random.stateless_uniform((4,), (seed, number), -1.0, 1.0))
    jitter = PART_JITTERED * min(height, width)
    scale = sum(SCALES) / 2 + drawn[0] * (SCALES[1] - SCALES[0]) / 2
    cosine, sine = tf.cos(drawn[1] * LARGEST_TURN) / scale, tf.sin(drawn[1] * LARGEST_TURN) / scale
    middle = ((width - 1) / 2, (height - 1) / 2)
    # The transform turns the position of an output pixel into that of the input pixel: it rotates and scales about the
    # centre, and then shifts.
    rows = [
        cosine, -sine, middle[0] - cosine * middle[0] + sine * middle[1] + drawn[2] * jitter,
        sine, cosine, middle[1] - sine * middle[0] - cosine * middle[1] + drawn[3] * jitter,
        0.0, 0.0,
    ]  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image,
        transforms=tf.stack([rows]),
        output_shape=(height, width),
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
