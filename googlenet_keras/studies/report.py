"""Writes the results of a study: a JSON file, a Markdown file with tables, and a plot."""

import dataclasses
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from googlenet_keras.describe.tables import Column, markdown
from googlenet_keras.files import write_aside
from googlenet_keras.studies.costs import NetworkCost
from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.weights.cards import package_versions

RESULTS_FILE, TABLE_FILE, PICTURE_FILE = "results.json", "results.md", "accuracy.png"
# The colours of Okabe and Ito without black, and without yellow, which is hard to see on white. When they run out, the
# plot repeats them with another marker.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7")
MARKERS = "os^"


@dataclass(frozen=True, kw_only=True)
class Run:
    """The result of a finished training of a study.

    Attributes:
        entry: The name of the entry that was trained.
        seed: The seed of the training.
        epochs: The number of epochs.
        accuracy: The accuracy on the test split after the last epoch; None if the loss became NaN or infinite.
        seconds: The wall-clock time of the training in seconds, including the evaluation after each epoch; None if the
            training failed.
        cpu_seconds: The CPU time of the training in seconds, over all cores, including the evaluation after each epoch;
            None if the training failed.
        failure: The reason why there is no accuracy; None if there is one.
        machine: The processor of the machine that ran the training.
    """

    entry: str
    seed: int
    epochs: int
    accuracy: float | None
    seconds: float | None
    cpu_seconds: float | None
    failure: str | None
    machine: str

    def as_dict(self) -> dict[str, Any]:
        """Returns all attributes by name, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> "Run":
        """Creates a run from the result of `as_dict`.

        Args:
            facts: The attributes by name.
        """
        return cls(**facts)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The mean and spread of a value over the seeds of an entry.

    Attributes:
        mean: The mean.
        deviation: The sample standard deviation; None if there is only one value.
        lowest: The lowest value.
        highest: The highest value.
        count: The number of values.
    """

    mean: float
    deviation: float | None
    lowest: float
    highest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Computes the spread of values; returns None if there are no values.

        Args:
            values: The values, one for each seed.
        """
        if not values:
            return None
        return cls(
            mean=statistics.fmean(values),
            deviation=statistics.stdev(values) if len(values) > 1 else None,
            lowest=min(values),
            highest=max(values),
            count=len(values),
        )

    def __str__(self) -> str:
        if self.deviation is None:
            return f"{self.mean:.4f} (one seed)"
        return f"{self.mean:.4f} ± {self.deviation:.4f} ({self.count} seeds)"


def read_results(folder: Path) -> dict[str, Any]:
    """Reads ``results.json`` in the folder of a study; returns an empty dict if there is no such file.

    Args:
        folder: The folder of the study.

    Raises:
        ValueError: If the file is not valid JSON.
    """
    path = folder / RESULTS_FILE
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_report(study: Study, folder: Path, costs: Mapping[str, NetworkCost], runs: Sequence[Run]) -> dict[str, Any]:
    """Writes the tables and the plot of the finished trainings.

    Args:
        study: The study.
        folder: The folder to write to.
        costs: The costs of the networks, by the name of the entry; an entry without a cost gets no row.
        runs: The finished trainings.

    Returns:
        The content of ``results.json``.

    Raises:
        OSError: If a file cannot be written.
    """
    entries = [entry for entry in study.entries if entry.name in costs]
    results = {
        "study": study.name,
        "question": study.question,
        "notes": list(study.notes),
        "entries": [_facts(entry, costs[entry.name], _of(entry, runs)) for entry in entries],
        "versions": package_versions(),
    }
    with write_aside(folder / RESULTS_FILE) as file:
        file.write(json.dumps(results, indent=2, ensure_ascii=False).encode() + b"\n")
    with write_aside(folder / TABLE_FILE) as file:
        file.write(_document(study, entries, costs, runs).encode())
    if any(run.accuracy is not None for run in runs):
        with write_aside(folder / PICTURE_FILE) as file:
            plot_study(study, costs, runs, file)
    return results


def _of(entry: Entry, runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if run.entry == entry.name]


def _spread(runs: Sequence[Run], attribute: str) -> Spread | None:
    return Spread.of([value for run in runs if (value := getattr(run, attribute)) is not None])


def _facts(entry: Entry, cost: NetworkCost, runs: Sequence[Run]) -> dict[str, Any]:
    accuracy, seconds = _spread(runs, "accuracy"), _spread(runs, "seconds")
    return {
        "name": entry.name,
        "idea": entry.idea,
        "compared_with": entry.compared_with,
        "published": entry.published,
        "accuracy": accuracy and dataclasses.asdict(accuracy),
        "seconds": seconds and dataclasses.asdict(seconds),
        "cost": dataclasses.asdict(cost),
        "recipe": dataclasses.asdict(entry.recipe),
        "runs": [run.as_dict() for run in runs],
    }


def _document(study: Study, entries: Sequence[Entry], costs: Mapping[str, NetworkCost], runs: Sequence[Run]) -> str:
    """Returns the Markdown text with the tables and the notes on how to read them."""
    parts = [f"# {study.name}", study.question, markdown(accuracy_columns(entries, runs))]
    machines = sorted({run.machine for run in runs})
    if machines:
        parts.append(
            "The accuracies are those on the test split after the last epoch, as mean and sample standard deviation "
            f"over the seeds. The seconds were measured on {'; '.join(machines)}."
        )
    parts += [
        "The cost of the networks, without auxiliary heads:",
        markdown(cost_columns(entries, costs)),
        *study.notes,
        *(f"{run.entry}, seed {run.seed}: {run.failure}" for run in runs if run.failure),
    ]
    return "\n\n".join(parts) + "\n"


def accuracy_columns(entries: Sequence[Entry], runs: Sequence[Run]) -> list[Column]:
    """Returns the columns with the results of the trainings, which have a row for each entry.

    Args:
        entries: The entries, in the order of the rows.
        runs: The finished trainings.
    """
    by_entry = {entry.name: _of(entry, runs) for entry in entries}
    accuracies = {name: _spread(own, "accuracy") for name, own in by_entry.items()}

    def accuracy(name: str) -> str:
        failed = sum(run.failure is not None for run in by_entry[name])
        parts = [str(accuracies[name] or ""), f"{failed} without a finite loss" if failed else ""]
        return ", ".join(filter(None, parts)) or "not run"

    def difference(entry: Entry) -> str:
        own, other = accuracies[entry.name], accuracies.get(entry.compared_with or "")
        return f"{own.mean - other.mean:+.4f} to {entry.compared_with}" if own and other else ""

    def mean(entry: Entry, attribute: str) -> str:
        found = _spread(by_entry[entry.name], attribute)
        return f"{found.mean:,.0f}" if found else ""

    columns = [
        Column("entry", [entry.name for entry in entries], is_text=True),
        Column("idea", [entry.idea for entry in entries], is_text=True),
        Column("dataset", [entry.recipe.dataset for entry in entries], is_text=True),
        Column("test accuracy", [accuracy(entry.name) for entry in entries]),
    ]
    if any(entry.compared_with for entry in entries):
        columns.append(Column("difference", [difference(entry) for entry in entries], is_text=True))
    if any(entry.published for entry in entries):
        columns.append(Column("published", [f"{entry.published or ''}" for entry in entries]))
    return [
        *columns,
        Column("epochs", [str(entry.recipe.epochs) for entry in entries]),
        Column("seconds", [mean(entry, "seconds") for entry in entries]),
        Column("CPU seconds", [mean(entry, "cpu_seconds") for entry in entries]),
    ]


def cost_columns(entries: Sequence[Entry], costs: Mapping[str, NetworkCost]) -> list[Column]:
    """Returns the columns with the costs and parameters of the networks, which have a row for each entry.

    Args:
        entries: The entries, in the order of the rows.
        costs: The costs of the networks, by the name of the entry.
    """
    own = [costs[entry.name] for entry in entries]
    rows = [cost.summary for cost in own]

    def share(attribute: str) -> list[str]:
        return [f"{getattr(row, attribute):,} ({getattr(row, attribute) / row.parameters:.1%})" for row in rows]

    return [
        Column("entry", [entry.name for entry in entries], is_text=True),
        Column("network", [entry.recipe.model for entry in entries], is_text=True),
        Column("input", ["x".join(map(str, row.input_shape)) for row in rows]),
        Column("parameters", [f"{row.parameters:,}" for row in rows]),
        Column("in convolutions", share("convolution_parameters")),
        Column("in dense layers", share("dense_parameters")),
        Column("largest layer", [f"{cost.largest_layer}, {cost.largest_parameters:,}" for cost in own]),
        Column("spared by 1x1 reductions", [f"{cost.spared:,}" for cost in own]),
        Column("M MACs", [f"{row.multiply_adds / 1e6:,.1f}" for row in rows]),
    ]


def plot_study(study: Study, costs: Mapping[str, NetworkCost], runs: Sequence[Run], file: IO[bytes]) -> None:
    """Plots the accuracy of each entry against seconds, parameters and multiply-adds.

    Args:
        study: The study.
        costs: The costs of the networks, by the name of the entry.
        runs: The finished trainings.
        file: The binary file object to which the PNG is written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(13, 5.5), dpi=120, layout="constrained")
    every = figure.subplots(1, 3, sharey=True)
    for place, entry in enumerate(study.entries):
        own = _of(entry, runs)
        accuracy, seconds = _spread(own, "accuracy"), _spread(own, "seconds")
        if accuracy is None or seconds is None:
            continue
        cost = costs[entry.name].summary
        spread = [[accuracy.mean - accuracy.lowest], [accuracy.highest - accuracy.mean]]
        for axes, x in zip(every, (seconds.mean, cost.parameters / 1e6, cost.multiply_adds / 1e6), strict=True):
            axes.errorbar(
                [x],
                [accuracy.mean],
                yerr=spread,
                fmt=MARKERS[place // len(COLOURS) % len(MARKERS)],
                color=COLOURS[place % len(COLOURS)],
                capsize=4,
                label=entry.name,
            )
    labels = ("seconds of training", "parameters, millions", "multiply-adds for one image, millions")
    for axes, label in zip(every, labels, strict=True):
        axes.set(xscale="log", xlabel=label)
        low, high = axes.get_xlim()
        # With default limits, an axis would have no tick labels if all points are close together.
        axes.set_xlim(low / 2, high * 2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    every[0].set_ylabel("test accuracy, mean and range of the seeds")
    handles, names = every[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(study.question, x=0.01, horizontalalignment="left")
    figure.savefig(file, format="png")
