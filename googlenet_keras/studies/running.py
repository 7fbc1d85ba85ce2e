"""Runs studies: trains one network after the other, resumes interrupted trainings, and writes the table after each."""

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
# The name of a training's folder, which contains the name of the entry and the seed.
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
    """Runs the trainings of a study that are not finished yet, and writes the table after each of them.

    All trainings run in this process, one after the other. Therefore a signal ends the current one with a checkpoint,
    like any training, and the start-up time of TensorFlow is not included in any measurement. The memory of a training
    is freed before the next one starts.

    Args:
        study: A study of `load_study`, or your own.
        output: The folder for the results: ``ENTRY_seedN/`` for each training, and ``results.json``, ``results.md`` and
            ``accuracy.png`` for all finished trainings. Other seeds and entries can be added to the folder later.
        seeds: The seeds of the trainings; an empty sequence means the seeds of the study.
        only: The names of the entries to run; an empty sequence means all entries.
        train_networks: Whether to train. If False, the table shows the costs of the networks, and the results of the
            trainings that are already finished.
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder.
        strategy: See `train`.
        callbacks: A function that creates the Keras callbacks of a training from its recipe and folder.
        report: A function that is called with a line before each network is built, and before and after each training.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: If there is no such entry, a network cannot be built with its input size, the data are not
            available, or the folder contains another study or trainings with other options.
        OSError: If the folder cannot be written.
        TrainingInterruptedError: If a SIGTERM or Ctrl-C was received; the same call continues from there.
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
    """Runs one training, and evaluates the network on the test split when the training has ended."""
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
        # A training that diverges is also a result, and must not stop the others.
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
    # A finished training needs no checkpoints.
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder / CHECKPOINTS)
    return run


def _identity(recipe: Recipe) -> dict[str, Any]:
    """Returns all fields of a recipe that affect its result, in the form in which JSON restores them."""
    return json.loads(json.dumps(recipe.identity()))


def _check_study(study: Study, output: Path) -> None:
    there = read_results(output).get("study", study.name)
    if there != study.name:
        raise ValueError(f"{str(output)!r} contains the study {there}: use another folder. Received: {study.name!r}")


def _finished(study: Study, output: Path) -> list[Run]:
    """Returns the finished trainings in a folder, ordered by seed, and by the order of the study's entries.

    Raises:
        ValueError: If one of them was run with other options.
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
            f"{str(folder)!r} contains a training with {', '.join(f'{name}={there.get(name)}' for name in others)}: "
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
    """Computes the costs of the networks, which also ensures that all of them can be built before any is trained."""
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
            gc.collect()  # Networks contain reference cycles, which only the garbage collector frees.
    return costs
