"""Running a study: training after training, each of them resumable, and the table after each."""

import contextlib
import dataclasses
import gc
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.data import Dataset, open_dataset
from googlenet_keras.devices import describe_processor
from googlenet_keras.evaluation import evaluate
from googlenet_keras.files import output_folder, write_aside
from googlenet_keras.studies.costs import NetworkCost, network_cost
from googlenet_keras.studies.report import Run, read_results, write_report
from googlenet_keras.studies.study import TEST_SPLIT, Entry, Study
from googlenet_keras.training import LossNotFiniteError, train
from googlenet_keras.training.loop import CHECKPOINTS
from googlenet_keras.training.recipe import Recipe

RUN_FILE = "run.json"
# Of a folder's name: the entry's, and the seed.
_FOLDER = re.compile(r"(.+)_seed(\d+)")


def run_study(
    study: Study,
    output: str | Path,
    *,
    seeds: Sequence[int] = (),
    only: Sequence[str] = (),
    train_networks: bool = True,
    data_dir: str | Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Callable[[Recipe, Path], Sequence[keras.callbacks.Callback]] = lambda recipe, folder: (),
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Runs the trainings of a study that are not done yet, and writes the table after each of them.

    All trainings are done in this process, one after the other: a signal then ends the one that runs as it ends any
    training, with a checkpoint, and what TensorFlow takes to start is in no figure. What a training took of memory is
    given back before the next one.

    Args:
        study: A study of `load_study`, or your own.
        output: The folder: ``ENTRY_seedN/`` for each training, and of all that are done ``results.json``,
            ``results.md`` and ``accuracy.png``. Other seeds and entries may be added to it later.
        seeds: The seeds of the trainings; an empty list means the study's.
        only: Names of the entries that are run; none are all.
        train_networks: Whether anything is trained; if not, the table tells what the networks cost, and what is done.
        data_dir: The folder of TensorFlow Datasets' data; None is its own default.
        strategy: See `train`.
        callbacks: Makes the Keras callbacks of a training from its recipe and folder.
        report: Called with a line before and after each training.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: If there is no such entry, a network cannot be had at that size, the data cannot be had, or the
            folder holds another study, or trainings with other options.
        OSError: If the folder cannot be written.
        TrainingInterruptedError: If a SIGTERM or Ctrl-C came; the same call goes on from there.
    """
    output = Path(output)
    for name in only:
        study.entry(name)
    chosen = [entry for entry in study.entries if not only or entry.name in only]
    planned = [(entry, seed) for seed in seeds or study.seeds for entry in chosen]
    with output_folder(output):
        _check_study(study, output)
        runs = _finished(study, output)
        costs = _costs(chosen, runs, study, data_dir, report)
        results = write_report(study, output, costs, runs)
        for number, (entry, seed) in enumerate(planned if train_networks else (), start=1):
            if any((run.entry, run.seed) == (entry.name, seed) for run in runs):
                continue
            recipe, folder = dataclasses.replace(entry.recipe, seed=seed), output / f"{entry.name}_seed{seed}"
            report(f"{number} of {len(planned)}: {entry.name}, seed {seed}")
            run = _run(entry, recipe, folder, data_dir, strategy, callbacks)
            runs.append(run)
            results = write_report(study, output, costs, runs)
            report(f"{entry.name}, seed {seed}: {run.failure or f'test accuracy {run.accuracy:.4f}'}")
    return results


def _run(
    entry: Entry,
    recipe: Recipe,
    folder: Path,
    data_dir: str | Path | None,
    strategy: tf.distribute.Strategy | None,
    callbacks: Callable[[Recipe, Path], Sequence[keras.callbacks.Callback]],
) -> Run:
    """One training, and its measurement on the test split once it has ended."""
    listening = callbacks(recipe, folder)
    facts: dict[str, Any] = {}
    try:
        trained = train(recipe, folder, data_dir=data_dir, strategy=strategy, callbacks=listening)
        measured = evaluate(
            None,
            [folder / "model.weights.h5"],
            dataset=recipe.dataset,
            data_dir=data_dir,
            split=TEST_SPLIT,
            batch_size=recipe.batch_size,
            dtype=trained["recipe"]["dtype"],
        )
        facts |= {"accuracy": measured.scores.top1, "seconds": trained["seconds"], "cpu": trained["cpu_seconds"]}
    except LossNotFiniteError as error:
        # A result as well; the other trainings go on.
        facts["failure"] = str(error)
    finally:
        for callback in listening:
            if hasattr(callback, "close"):
                callback.close()
        keras.backend.clear_session()
        gc.collect()
    run = Run(
        entry=entry.name,
        seed=recipe.seed,
        epochs=recipe.epochs,
        accuracy=facts.get("accuracy"),
        seconds=facts.get("seconds"),
        cpu_seconds=facts.get("cpu"),
        failure=facts.get("failure"),
        machine=describe_processor(),
    )
    folder.mkdir(exist_ok=True)
    with write_aside(folder / RUN_FILE) as file:
        file.write(json.dumps({**run.as_dict(), "recipe": _identity(recipe)}, indent=2).encode() + b"\n")
    # A finished training goes on from nothing any more.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / CHECKPOINTS)
    return run


def _identity(recipe: Recipe) -> dict[str, Any]:
    """All of a recipe that its result depends on, as JSON has it."""
    return json.loads(json.dumps(recipe.identity()))


def _check_study(study: Study, output: Path) -> None:
    there = read_results(output).get("study", study.name)
    if there != study.name:
        raise ValueError(f"{str(output)!r} holds the study {there}: take another folder. Received: {study.name!r}")


def _finished(study: Study, output: Path) -> list[Run]:
    """The trainings in a folder that are done, in the study's order.

    Raises:
        ValueError: If one of them was done with other options.
    """
    entries = {entry.name: entry for entry in study.entries}
    found = []
    for folder in output.iterdir():
        named = _FOLDER.fullmatch(folder.name)
        if named is None or named[1] not in entries or not (folder / RUN_FILE).exists():
            continue
        facts = json.loads((folder / RUN_FILE).read_text())
        _check_options(folder, facts.pop("recipe"), _identity(entries[named[1]].recipe))
        found.append(Run.from_dict(facts))
    order = list(entries)
    return sorted(found, key=lambda run: (run.seed, order.index(run.entry)))


def _check_options(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    others = [name for name in wanted if name != "seed" and there.get(name) != wanted[name]]
    if others:
        raise ValueError(
            f"{str(folder)!r} holds a training with {', '.join(f'{name}={there.get(name)}' for name in others)}: "
            f"give the same options, or another --output. "
            f"Received: {', '.join(f'{name}={wanted[name]}' for name in others)}"
        )


def _costs(
    chosen: Sequence[Entry],
    runs: Sequence[Run],
    study: Study,
    data_dir: str | Path | None,
    report: Callable[[str], None],
) -> dict[str, NetworkCost]:
    """Computes what the networks cost, without auxiliary heads. This checks that all of them can be built."""
    names = {entry.name for entry in chosen} | {run.entry for run in runs}
    datasets: dict[str, Dataset] = {}
    costs = {}
    for entry in study.entries:
        if entry.name in names:
            report(f"Building {entry.name}")
            name = entry.recipe.dataset
            if name not in datasets:
                datasets[name] = open_dataset(name, data_dir)
            costs[entry.name] = network_cost(entry.recipe, datasets[name])
            gc.collect()  # networks refer to themselves
    return costs
