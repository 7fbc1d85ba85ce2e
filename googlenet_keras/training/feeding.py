"""The way of the batches to the replicas of this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from googlenet_keras.data import Timed
from googlenet_keras.devices import has_accelerators

# From the numbers of some of the replicas to what they are to see, an element for each in turn.
Source = Callable[[Sequence[int]], tf.data.Dataset]


def feed(strategy: tf.distribute.Strategy, source: Source) -> Timed[Any]:
    """Yields what all replicas of this process see, step by step.

    Args:
        strategy: The strategy that has the replicas.
        source: Makes the data of some of the replicas.
    """
    return Timed(_fetched(strategy, source) if has_accelerators() else _distributed(strategy, source))


def _fetched(strategy: tf.distribute.Strategy, source: Source) -> tf.distribute.DistributedDataset:
    """The elements in the memory of the replicas' devices, each before it is asked for."""

    def of_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * here
        # No more is taken than there is. Of endless data TensorFlow does not ask the other workers, at every step,
        # whether they still have some.
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return source(range(first, first + here)).apply(endless)

    return strategy.distribute_datasets_from_function(of_process)


def _distributed(strategy: tf.distribute.Strategy, source: Source) -> Iterator[Any]:
    """The elements where nothing is to be fetched: on CPUs.

    What fetches is a pipeline that tunes itself, and cannot be told not to; `pipeline_options` has what that costs.
    """
    elements: dict[int, Iterator[Any]] = {}

    def of_replica(context: tf.distribute.experimental.ValueContext) -> Any:
        replica = context.replica_id_in_sync_group
        if replica not in elements:
            elements[replica] = iter(source([replica]))
        return next(elements[replica])

    while True:
        yield strategy.experimental_distribute_values_from_function(of_replica)
