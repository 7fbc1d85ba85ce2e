"""Lets the workers of one training compare values and wait for each other, and recognizes the loss of a worker."""

import contextlib

import tensorflow as tf


class WorkerLostError(RuntimeError):
    """Another worker died or left, so that nothing can be summed over all workers any more."""


# The errors that TensorFlow raises in a sum over workers when one of them is lost: immediately if its connections are
# closed, otherwise when its heartbeat has been missing for 10 seconds.
LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


def all_have(strategy: tf.distribute.Strategy, number: int) -> bool:
    """Returns True if all workers call this function with the same number; blocks until all of them have called it.

    Args:
        strategy: The strategy, which includes all workers.
        number: The number of this worker, which must not be negative.
    """
    numbers = strategy.run(lambda: tf.constant(number, "int64"))
    total = strategy.reduce("SUM", numbers, axis=None)
    return int(total) == number * strategy.num_replicas_in_sync


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Blocks until all workers have called this function, or one of them is lost.

    A worker must not exit earlier, because the others may still be waiting for data that it sent.
    """
    with contextlib.suppress(*LOST):
        all_have(strategy, 0)
