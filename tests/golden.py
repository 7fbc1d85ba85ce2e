"""Regenerates, bit for bit, the random weights and inputs behind the golden outputs in data/.

A golden file (data/NAME.seedS.npz) holds what an independent implementation of a
network answered, in float32 on a CPU, for the weights and the input made here:

    names, shapes   every tensor of its state, in its own order and layout
    seed            the seed that `tensor` and `image` were called with
    input_shape     NHWC
    <output>        one array per output (logits, aux1, aux2, endpoint means, ...)

The weights themselves are not stored: `load` makes them again from names and shapes.
"""

import functools
import json
import zlib
from pathlib import Path

import numpy as np


def _rng(name, seed):
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def tensor(name, shape, seed):
    """The tensor called `name`: its kind follows from the name's last part and its rank."""
    rng = _rng(name, seed)
    leaf = name.replace("/", ".").rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf in ("running_var", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf in ("running_mean", "moving_mean", "bias", "biases", "beta"):
        return rng.normal(0.0, 0.1, shape).astype(np.float32)
    if len(shape) == 1:  # the scale of a batch normalization
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf == "weights":  # HWIO, as TensorFlow keeps it
        fan_in = int(np.prod(shape[:-1]))
    elif leaf == "depthwise_weights":
        fan_in = int(np.prod(shape[:2]))
    elif leaf == "pointwise_weights":
        fan_in = int(np.prod(shape[:3]))
    else:  # OIHW or (out, in), as PyTorch and Caffe keep it
        fan_in = int(np.prod(shape[1:]))
    return rng.normal(0.0, np.sqrt(2.0 / fan_in), shape).astype(np.float32)


def image(shape, seed):
    """A batch of NHWC inputs in [-1, 1], smooth enough to look like images."""
    rng = _rng("input", seed)
    n, h, w, c = shape
    coarse = rng.uniform(-1.0, 1.0, (n, -(-h // 8), -(-w // 8), c))
    fine = rng.uniform(-0.25, 0.25, (n, h, w, c))
    smooth = np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)[:, :h, :w]
    return np.clip(smooth + fine, -1.0, 1.0).astype(np.float32)


def _open(name):
    return np.load(Path(__file__).with_name("data") / f"{name}.seed0.npz", allow_pickle=False)


def names_and_shapes(name):
    """The names of a golden file's tensors, and their shapes, in its own order."""
    with _open(name) as golden:
        return [str(n) for n in golden["names"]], [tuple(shape) for shape in json.loads(str(golden["shapes"]))]


@functools.lru_cache(maxsize=2)
def _state(name, seed):
    return {n: tensor(n, shape, seed) for n, shape in zip(*names_and_shapes(name), strict=True)}


def load(name):
    """(state, inputs, outputs) of the golden file NAME; state maps each tensor's name to its array, to be read only."""
    with _open(name) as golden:
        seed = int(golden["seed"])
        state = dict(_state(name, seed))
        inputs = image(tuple(int(d) for d in golden["input_shape"]), seed)
        meta = {"names", "shapes", "seed", "input_shape"}
        return state, inputs, {k: golden[k] for k in golden.files if k not in meta}
