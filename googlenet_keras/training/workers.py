"""Lets the processes of one training agree, and notice that one of them is gone."""

import contextlib

import tensorflow as tf


class WorkerLostError(RuntimeError):
    """Another worker died or left: nothing can be summed over all of them any more."""


# What TensorFlow's sums over workers end with when one is gone: at once if its connections are closed, otherwise when
# its heartbeat has been missing for 10 seconds.
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


def all_have(strategy: tf.distribute.Strategy, number: int) -> bool:
    """True if all workers call this with the same number; it returns once all of them have called.

    Args:
        strategy: The strategy of all of them.
        number: This worker's; non-negative.
    """
    numbers = strategy.run(lambda: tf.constant(number, "int64"))
    total = strategy.reduce("SUM", numbers, axis=None)
    return int(total) == number * strategy.num_replicas_in_sync


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns once all workers are here or gone: the others may still wait for what a worker that leaves sent."""
    with contextlib.suppress(*LOST):
        all_have(strategy, 0)
