"""Records of prepared files: those at some positions, read without most of the others."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from googlenet_keras.data.splits import order

if TYPE_CHECKING:
    from tensorflow_datasets.core import FileInstruction

SHUFFLED_TOGETHER = 4096  # records of large images; about half a gigabyte of ImageNet
READ_TOGETHER = 128  # records, where none are shuffled
READ_AHEAD = 2**20  # bytes of each file that is read from its first record on
MOST_GROUPS = 64
# At least: a group may begin within a file, of which the part before it is read for nothing.
FILES_OF_GROUP = 4


def check_format_there(folder: str | Path, there: str, wanted: str | None) -> None:
    """Refuses a prepared dataset whose files are in another format than is asked for.

    Args:
        folder: The prepared folder.
        there: The format of its files.
        wanted: The format that is asked for; None is any.

    Raises:
        ValueError: If they differ.
    """
    if wanted not in (None, there):
        raise ValueError(f"{folder} is there as {there}: remove it, or choose another --data-dir. Received: {wanted!r}")


def chosen_records(source: Any, keys: np.ndarray) -> tf.data.Dataset:
    """Records of ArrayRecord files, of which no others are read.

    Args:
        source: The `array_record` data source.
        keys: The records' numbers, in the order that they are wanted in.

    Returns:
        A string for each.
    """

    def read(some: np.ndarray) -> np.ndarray:
        return np.array(source.__getitems__(some.tolist()), object)

    # Two calls, so that one waits for the disk while the records of the other are copied.
    return (
        tf.data.Dataset.from_tensor_slices(keys)
        .batch(READ_TOGETHER)
        .map(lambda some: tf.ensure_shape(tf.numpy_function(read, [some], tf.string), [None]), num_parallel_calls=2)
        .unbatch()
    )


def streamed_records(
    files: "Sequence[FileInstruction]", positions: np.ndarray, shuffled: tuple[int, int] | None, batch_size: int | None
) -> tf.data.Dataset:
    """Records of TFRecord files, which can be read from the first on only.

    The files, one after another, are cut into groups of as many records as fall to them. A group has the same part of
    the places of every step, so that whoever takes half of the places reads half of the groups. Within a group the
    order is of the files and, in blocks, of their records.

    Args:
        files: The name of each file, the first record and the number of records to read.
        positions: The records to read, in rising order; see `Split.encoded`.
        shuffled: See there.
        batch_size: See there; None makes a single group.

    Returns:
        A string for each of the positions.
    """
    files = [files[i] for i in order(len(files), shuffled)]
    size = sum(file.take for file in files)
    count = _group_count(len(files), batch_size)
    group = _groups(size, batch_size or size, count)
    sizes = np.bincount(group, minlength=count)
    starts = np.cumsum(sizes) - sizes
    place = np.empty(size, int)
    place[np.argsort(group, kind="stable")] = np.arange(size) - np.repeat(starts, sizes)
    wanted = positions[positions < size]
    needed, choice = np.unique(group[wanted], return_inverse=True)
    streams = [
        _blocks(
            files,
            (starts[number], starts[number] + sizes[number]),
            place[wanted[choice == i]],
            max(1, (READ_TOGETHER if shuffled is None else SHUFFLED_TOGETHER) // count),
            None if shuffled is None else (*shuffled, int(number)),
        )
        for i, number in enumerate(needed)
    ]
    padding = np.full(len(positions) - len(wanted), len(streams))
    streams.append(_in_order(files, 0, 1).repeat())
    choice = tf.data.Dataset.from_tensor_slices(np.concatenate([choice, padding]).astype("int64"))
    return tf.data.Dataset.choose_from_datasets(streams, choice)


def _group_count(files: int, batch_size: int | None) -> int:
    """A power of two, so that numbers of workers divide it; it does not depend on how many there are."""
    return 1 << (max(1, min(MOST_GROUPS, files // FILES_OF_GROUP, batch_size or 1)).bit_length() - 1)


def _groups(size: int, batch_size: int, count: int) -> np.ndarray:
    """The group of each position: of every step, the first group has the first places, and so on.

    Where the number of workers divides that of the groups, no group has places of two workers.
    """
    step, place = np.divmod(np.arange(size), batch_size)
    of_step = np.minimum(batch_size, size - step * batch_size)
    return (((place + 1) * count - 1) // of_step).astype("uint8")  # which NumPy sorts by counting


def _blocks(
    files: "Sequence[FileInstruction]",
    group: tuple[int, int],
    wanted: np.ndarray,
    length: int,
    shuffled: tuple[int, ...] | None,
) -> tf.data.Dataset:
    """Records of a group at some places, rising, of its order, in which blocks of some length are shuffled."""
    start, end = group
    first = wanted[0] // length * length
    last = min((wanted[-1] // length + 1) * length, end - start)
    source = np.arange(end - start)
    if shuffled is not None:
        source = np.lexsort((np.random.default_rng(shuffled).random(len(source)), source // length))
    of_block = np.bincount((wanted - first) // length)
    chosen = tf.RaggedTensor.from_row_lengths(source[wanted] % length, of_block)
    records = _in_order(files, start + first, start + last).batch(length)
    return tf.data.Dataset.zip(records, tf.data.Dataset.from_tensor_slices(chosen)).map(tf.gather).prefetch(1).unbatch()


def _in_order(files: "Sequence[FileInstruction]", start: int, end: int) -> tf.data.Dataset:
    """The records from one to another of all files, one after another."""
    sizes = np.array([file.take for file in files])
    starts = np.cumsum(sizes) - sizes
    # Files of which all is wanted, but for the beginning of the first and the end of the last, are one dataset.
    runs: list[tuple[list[str], int, int]] = []
    whole = False
    for i in np.flatnonzero((starts < end) & (starts + sizes > start)).tolist():
        file, skip, stop = files[i], max(0, start - starts[i]), min(end - starts[i], sizes[i])
        if whole and file.skip + skip == 0:
            names, first, count = runs.pop()
            runs.append(([*names, str(file.filename)], first, count + stop))
        else:
            runs.append(([str(file.filename)], file.skip + skip, stop - skip))
        whole = file.skip + stop == file.examples_in_shard
    datasets = [
        tf.data.TFRecordDataset(names, buffer_size=READ_AHEAD).skip(skip).take(count) for names, skip, count in runs
    ]
    return functools.reduce(tf.data.Dataset.concatenate, datasets)
