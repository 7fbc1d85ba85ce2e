"""Builds training steps to be timed, in this process or in another one that has a replica per core."""

import functools
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.devices import create_strategy
from googlenet_keras.models import create_model

CHANNELS, CLASSES = 1, 10
LEARNING_RATE = 1e-3


def network(name: str, dtype: str, input_size: int) -> keras.Model:
    """Builds a network of the package that maps images (batch, input_size, input_size, 1) to 10 logits.

    Args:
        name: One of `googlenet_keras.list_models`.
        dtype: The Keras dtype policy.
        input_size: The height and width of the images, in pixels.

    Returns:
        The model, with the same weights every time.
    """
    keras.utils.set_random_seed(0)
    return create_model(
        name,
        input_shape=(input_size, input_size, CHANNELS),
        classes=CLASSES,
        classifier_activation=None,
        dtype=dtype,
    )


def training_step(model: keras.Model, *, batch_size: int, input_size: int) -> Callable[[], object]:
    """Returns a function that runs one step of plain SGD on one batch of noise, and returns when the loss is known.

    Args:
        model: The model, which maps images (batch, input_size, input_size, 1) to 10 logits.
        batch_size: The number of images in a step.
        input_size: The height and width of the images, in pixels.
    """
    images, labels = _noise(batch_size, input_size)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LEARNING_RATE), loss, jit_compile=False)
    return partial(model.train_on_batch, images, labels)


class PerCore:
    """Runs the same steps in another process, where each core trains on a part of the batch.

    This needs another process because TensorFlow's numbers of devices and threads can be set only once in a process.
    Use it as a context manager: the process ends with the block.

    Args:
        batch_size: The number of images in a step, over all cores; at least the number of cores.
        input_size: The height and width of the images, in pixels.
    """

    def __init__(self, *, batch_size: int, input_size: int) -> None:
        self._shape = batch_size, input_size
        self._process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def __enter__(self) -> "PerCore":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def step(self, name: str, dtype: str) -> float:
        """Runs one step of a `network`, and returns the loss."""
        return self._process.submit(_step_per_core, name, dtype, *self._shape).result()


def _step_per_core(name: str, dtype: str, batch_size: int, input_size: int) -> float:
    return float(_replicated_step(name, dtype, batch_size, input_size)())


@functools.cache
def _replicated_step(name: str, dtype: str, batch_size: int, input_size: int) -> Callable[[], tf.Tensor]:
    strategy = _per_core()
    with strategy.scope():
        model = network(name, dtype, input_size)
        optimizer = keras.optimizers.SGD(LEARNING_RATE)
        optimizer.build(model.trainable_variables)
    replicas = strategy.num_replicas_in_sync
    parts = [
        strategy.experimental_distribute_values_from_function(
            lambda context, tensor=tensor: tensor[context.replica_id_in_sync_group :: replicas]
        )
        for tensor in _noise(batch_size, input_size)
    ]

    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = tf.cast(model(images, training=True), "float32")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_sum(losses) / batch_size
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    @tf.function
    def steps(*arguments: Any) -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(step, args=arguments), axis=None)

    return partial(steps, *parts)


@functools.cache
def _per_core() -> tf.distribute.Strategy:
    return create_strategy("mirrored")[0]


def _noise(batch_size: int, input_size: int) -> tuple[tf.Tensor, tf.Tensor]:
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (batch_size, input_size, input_size, CHANNELS))
    return tf.constant(images, "float32"), tf.constant(generator.integers(0, CLASSES, batch_size))
