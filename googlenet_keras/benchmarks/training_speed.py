"""Measures our training steps in float32 and bfloat16, next to another model and to the machine's own rate."""

import contextlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf

from googlenet_keras.benchmarks.candidates import PerCore, network, training_step
from googlenet_keras.benchmarks.interleaved import compare
from googlenet_keras.describe import count_multiply_adds
from googlenet_keras.devices import core_count
from googlenet_keras.layers import BatchNormalization

NETWORKS = ("googlenet_d2l", "googlenet_bn")
# Large enough to reach the machine's full rate, and small enough to take a fraction of a second.
MATRIX_SIZE = 4096
# A multiply-add is two operations, and a step has three passes with equally many: the outputs, the gradients of the
# inputs, and the gradients of the filters.
OPERATIONS = 2 * 3


@dataclass(frozen=True)
class Speed:
    """The speed at which one candidate trains.

    Attributes:
        name: The name of the candidate.
        dtype: The dtype of its arithmetic.
        examples_per_second: The examples per second of the median step.
        ratio: The median over the rounds of its throughput divided by the baseline's in the same round.
        lower: The first quartile of that ratio.
        upper: The third quartile of that ratio.
        share: The operations per second of its convolutions and dense layers, as a fraction of those of a matrix
            product in the same dtype; None for the peer, whose operations are not counted.
    """

    name: str
    dtype: str
    examples_per_second: float
    ratio: float
    lower: float
    upper: float
    share: float | None


@dataclass(frozen=True)
class TrainingComparison:
    """The measurements of one run.

    Attributes:
        matrix_product: The operations per second of a large matrix product, by dtype.
        training: The candidates' speeds, the baseline first.
    """

    matrix_product: dict[str, float]
    training: list[Speed]


def load_peer(path: str | Path) -> Callable[[], keras.Model]:
    """Runs a Python file and returns its function ``build``.

    Args:
        path: The file. Its ``build()`` returns a model that is not compiled yet and maps images (batch, height, width,
            1) to 10 logits.

    Raises:
        ValueError: If there is no such file, it is not a Python file, or it has no function ``build``.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no such file to load a peer from. Received: {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"A peer must be a Python file, NAME.py. Received: {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise ValueError(f"A peer's file must have a function build() that returns a Keras model. Received: {path}")
    return module.build


def with_keras_normalization(model: keras.Model) -> keras.Model:
    """Returns the same network with Keras's batch normalization in place of ours.

    Args:
        model: The network.
    """

    def theirs(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = keras.layers.BatchNormalization if isinstance(layer, BatchNormalization) else type(layer)
        return kind.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=theirs)


def compare_training(
    *, batch_size: int, rounds: int, input_size: int, peer: Callable[[], keras.Model] | None = None
) -> TrainingComparison:
    """Times training steps and large matrix products, which take turns.

    If there are several cores, and at least one image for each of them, the networks are also trained in bfloat16 with
    a replica per core.

    Args:
        batch_size: The number of images in a step.
        rounds: The number of timed steps of each candidate; at least 2.
        input_size: The height and width of the images, in pixels.
        peer: A function that builds the model to compare with, in float32; see `load_peer`. Without it, the baseline is
            ``googlenet_d2l`` in float32.

    Returns:
        The rates of the matrix products, and the speeds of the candidates.
    """
    models = {("peer", "float32"): peer()} if peer else {}
    for name in NETWORKS:
        models |= {(name, dtype): network(name, dtype, input_size) for dtype in ("float32", "mixed_bfloat16")}
    ours = models["googlenet_bn", "mixed_bfloat16"]
    models["googlenet_bn, Keras's normalization", "mixed_bfloat16"] = with_keras_normalization(ours)
    candidates = {
        key: training_step(model, batch_size=batch_size, input_size=input_size) for key, model in models.items()
    }
    for dtype in ("float32", "bfloat16"):
        matrix = tf.cast(tf.random.stateless_normal((MATRIX_SIZE, MATRIX_SIZE), (0, 0)), dtype)
        candidates["matrix product", dtype] = partial(tf.matmul, matrix, matrix)
    with contextlib.ExitStack() as stack:
        if 1 < core_count() <= batch_size:
            per_core = stack.enter_context(PerCore(batch_size=batch_size, input_size=input_size))
            for name in NETWORKS:
                key = f"{name}, a replica per core", "mixed_bfloat16"
                models[key] = models[name, "mixed_bfloat16"]
                candidates[key] = partial(per_core.step, name, "mixed_bfloat16")
        timings = {timing.name: timing for timing in compare(candidates, rounds=rounds)}

    matrix_product = {
        dtype: 2 * MATRIX_SIZE**3 / timings["matrix product", dtype].seconds for dtype in ("float32", "bfloat16")
    }
    speeds = []
    for (name, policy), model in models.items():
        timing = timings[name, policy]
        dtype = policy.removeprefix("mixed_")
        examples_per_second = batch_size / timing.seconds
        share = None
        if name != "peer":
            share = OPERATIONS * count_multiply_adds(model) * examples_per_second / matrix_product[dtype]
        speeds.append(
            Speed(name, dtype, examples_per_second, 1 / timing.ratio, 1 / timing.upper, 1 / timing.lower, share)
        )
    return TrainingComparison(matrix_product, speeds)
