"""Reads the records at given positions of prepared files, without reading most of the others."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from googlenet_keras.data.splits import order

if TYPE_CHECKING:
    from tensorflow_datasets.core import FileInstruction

SHUFFLED_TOGETHER = 4096  # records that are shuffled at once; about half a gigabyte of ImageNet
READ_TOGETHER = 128  # records that are read at once, unless they are shuffled as TFRecord files are
READ_AHEAD = 2**20  # bytes of the read buffer of a TFRecord file
MOST_GROUPS = 64
# The smallest number of files in a group. A group may begin in the middle of a file, and the part of the file before it
# is then read in vain.
FILES_OF_GROUP = 4


def check_format_there(folder: str | Path, there: str, wanted: str | None) -> None:
    """Raises an error if the files of a prepared dataset do not have the requested format.

    Args:
        folder: The prepared folder.
        there: The format of its files.
        wanted: The requested format; None accepts any.

    Raises:
        ValueError: If the two formats differ.
    """
    if wanted not in (None, there):
        raise ValueError(
            f"{folder} exists already in the format {there}: remove it, or choose another --data-dir. "
            f"Received: {wanted!r}"
        )


def chosen_records(source: Any, keys: np.ndarray) -> tf.data.Dataset:
    """Reads the given records of ArrayRecord files, and no others.

    Args:
        source: The `array_record` data source.
        keys: The indices of the records, in the order in which to return them.

    Returns:
        A dataset with a string for each record.
    """

    def read(some: np.ndarray) -> np.ndarray:
        return np.array(source.__getitems__(some.tolist()), object)

    # Two calls run in parallel, so that one waits for the disk while the records of the other are copied.
    return (
        tf.data.Dataset.from_tensor_slices(keys)
        .batch(READ_TOGETHER)
        .map(lambda some: tf.ensure_shape(tf.numpy_function(read, [some], tf.string), [None]), num_parallel_calls=2)
        .unbatch()
    )


def streamed_records(
    files: "Sequence[FileInstruction]", positions: np.ndarray, shuffled: tuple[int, int] | None, batch_size: int | None
) -> tf.data.Dataset:
    """Reads records of TFRecord files, which can only be read in sequence from the beginning.

    The sequence of all files is cut into groups. A group provides the examples for the same part of the places of every
    step, so that a worker that takes half of the places reads half of the groups. To shuffle, the files are put in a
    random order, and the records of each group are shuffled in blocks.

    Args:
        files: The name of each file, the first record and the number of records to read.
        positions: The positions to read, in rising order; see `Split.encoded`.
        shuffled: See `Split.encoded`.
        batch_size: See `Split.encoded`; None makes a single group.

    Returns:
        A dataset with a string for each of the positions.
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
    """Returns a power of two, so that usual numbers of workers divide it; it does not depend on their actual number."""
    return 1 << (max(1, min(MOST_GROUPS, files // FILES_OF_GROUP, batch_size or 1)).bit_length() - 1)


def _groups(size: int, batch_size: int, count: int) -> np.ndarray:
    """Returns the group of each position; the first group has the first places of every step, and so on.

    If the number of workers divides the number of groups, no group has places of two workers.
    """
    step, place = np.divmod(np.arange(size), batch_size)
    of_step = np.minimum(batch_size, size - step * batch_size)
    return (((place + 1) * count - 1) // of_step).astype("uint8")  # a type that NumPy sorts by counting


def _blocks(
    files: "Sequence[FileInstruction]",
    group: tuple[int, int],
    wanted: np.ndarray,
    length: int,
    shuffled: tuple[int, ...] | None,
) -> tf.data.Dataset:
    """Returns records of a group, at rising places in its order, in which blocks of `length` records are shuffled."""
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
    """Returns the records from `start` to `end` of the sequence of all files."""
    sizes = np.array([file.take for file in files])
    starts = np.cumsum(sizes) - sizes
    # Successive files become one dataset if all their records are needed, except for some at the beginning of the first
    # and at the end of the last.
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
