"""Feeds the batches to the replicas of this process."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from googlenet_keras.data import Timed
from googlenet_keras.devices import has_accelerators

# A function from the numbers of some replicas to a dataset that has an element for each of these replicas in turn.
Source = Callable[[Sequence[int]], tf.data.Dataset]


def feed(strategy: tf.distribute.Strategy, source: Source) -> Timed[Any]:
    """Returns an iterator over the elements for all replicas of this process, step by step.

    Args:
        strategy: The strategy to which the replicas belong.
        source: A function that creates the dataset for some of the replicas.
    """
    return Timed(_fetched(strategy, source) if has_accelerators() else _distributed(strategy, source))


def _fetched(strategy: tf.distribute.Strategy, source: Source) -> tf.distribute.DistributedDataset:
    """Returns the elements, which are copied to the memory of the replicas' devices before they are requested."""

    def of_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * here
        # The loop never takes more elements than there are. Declaring the data infinite saves TensorFlow from asking
        # all workers at every step whether they still have data.
        endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        return source(range(first, first + here)).apply(endless)

    return strategy.distribute_datasets_from_function(of_process)


def _distributed(strategy: tf.distribute.Strategy, source: Source) -> Iterator[Any]:
    """Yields the elements on CPUs, where they need not be copied to a device in advance.

    The pipeline that would copy them always tunes itself, which cannot be disabled; `pipeline_options` documents how
    much time this costs.
    """
    elements: dict[int, Iterator[Any]] = {}

    def of_replica(context: tf.distribute.experimental.ValueContext) -> Any:
        replica = context.replica_id_in_sync_group
        if replica not in elements:
            elements[replica] = iter(source([replica]))
        return next(elements[replica])

    while True:
        yield strategy.experimental_distribute_values_from_function(of_replica)
