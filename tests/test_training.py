"""What a training leaves behind, what it says, and what it goes on from."""

import csv
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from googlenet_keras import create_model, load_recipe, recipe_names
from googlenet_keras.commands import data as data_command, train as train_command
from googlenet_keras.commands.recipe_flags import recipe_changes
from googlenet_keras.data import open_dataset
from googlenet_keras.devices import DtypeChoice, choose_dtype
from googlenet_keras.evaluation import Tally
from googlenet_keras.models import model_record
from googlenet_keras.training import (
    LossNotFiniteError,
    TrainingInterruptedError,
    feeding,
    interruption,
    loop,
    networks,
    train,
)
from googlenet_keras.training.loop import Training
from googlenet_keras.training.muon import Muon, orthogonalize
from googlenet_keras.training.objective import create_optimizer, head_losses, is_decayed, learning_rate
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.reporting import Reporter, StallWarning
from googlenet_keras.training.steps import count_correct

pytestmark = pytest.mark.usefixtures("read_once")
ARCHIVES = Path("/usr/share/datasets/fashion-mnist")
SAMPLE = "tests/data/fashion_mnist_sample"
# 512 images of the sample: 16 steps an epoch. Without dropout or normalization, what can be the same is the same.
SMALL = {
    "model": "mnist_inception",
    "input_size": 28,
    "dtype": "float32",
    "batch_size": 32,
    "epochs": 2,
    "learning_rate": 0.02,
    "momentum": 0.5,
}

EVERYTHING = {
    **{"average_decay": 0.9, "flip": 0.5, "shift": 2, "erase": 0.5, "schedule": "cosine", "weight_decay": 1e-4},
    **{"mixup": 0.2, "cutmix": 1.0, "rand_augment": 0.2},
}


def small(**changes):
    """A recipe that trains in a second or two."""
    return load_recipe("d2l_fashion_mnist", **{**SMALL, **changes})


def run(folder, *, callbacks=(), resume=True, **changes):
    """Trains it on the sample."""
    return train(small(**changes), folder, data_dir=SAMPLE, callbacks=callbacks, resume=resume)


def weights(folder):
    """The weights that a training left."""
    model = create_model("mnist_inception", weights=folder / "model.weights.h5")
    return model.get_weights()


def log(folder):
    """The rows of the log that a training left."""
    return list(csv.DictReader((folder / "log.csv").read_text().splitlines()))


def assert_same(folder, other):
    """Both left the same weights, bit for bit, and the same figures for every epoch but those of time."""
    for one, another in zip(weights(folder), weights(other), strict=True):
        np.testing.assert_array_equal(one, another)
    rows = [log(place) for place in (folder, other)]
    timeless = [name for name in rows[0][0] if "second" not in name and "wait" not in name]
    assert [[row[name] for name in timeless] for row in rows[0]] == [
        [row[name] for name in timeless] for row in rows[1]
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a training that nothing happened to, and its results."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, run(folder)


class Stop(keras.callbacks.Callback):
    """Sends this process a signal after a step."""

    def __init__(self, epoch, step, number=signal.SIGTERM):
        super().__init__()
        self.at = (epoch, step)
        self.number = number
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), self.number)


def test_leaves_weights_log_picture_and_results(undisturbed):
    """Everything that the README promises is there, and says the same."""
    folder, results = undisturbed
    assert {path.name for path in folder.iterdir()} == {
        "checkpoints",
        "curves.png",
        "log.csv",
        "model.weights.h5",
        "model_card.md",
        "results.json",
    }
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    rows = log(folder)
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(results["val_accuracy"], rel=1e-5)
    assert results["recipe"]["model"] == "mnist_inception"
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_weights_are_those_that_were_measured(undisturbed):
    """A user who loads the weights into a model that answers probabilities measures what the log says."""
    folder, results = undisturbed
    model = create_model("mnist_inception", classifier_activation="softmax", weights=folder / "model.weights.h5")
    test = open_dataset("fashion_mnist", SAMPLE).split("test").tensors
    images = model_record("mnist_inception").preprocessing(test["image"].numpy())
    answers = model.predict(images, verbose=0).argmax(axis=1)
    assert np.mean(answers == test["label"]) == pytest.approx(results["val_accuracy"], abs=1e-6)


@pytest.mark.slow
def test_learns_the_sample(tmp_path):
    """A training worth the name learns 512 images by heart: the loop's gradients go the right way."""
    results = run(tmp_path, epochs=12, average_decay=0.9)
    assert results["accuracy"] > 0.75
    assert results["val_accuracy"] > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("extra", [{}, EVERYTHING], ids=["plain", "everything"])
def test_goes_on_as_if_it_had_never_stopped(tmp_path, undisturbed, extra):
    """Stopped within an epoch, and once more in the next, it ends with the same bits: average, order and all."""
    reference = undisturbed[0] if not extra else tmp_path / "undisturbed"
    if extra:
        run(reference, **extra)
    stopped = tmp_path / "stopped"
    for at in [(0, 5), (1, 0)]:
        with pytest.raises(TrainingInterruptedError, match="everything is saved"):
            run(stopped, callbacks=[Stop(*at)], **extra)
    run(stopped, **extra)
    assert_same(stopped, reference)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("when", ["before a step", "within a step"])
def test_ctrl_c_is_a_message_and_a_status(tmp_path, capfd, monkeypatch, when):
    """The command says what to do next, and shells see which signal it was, whenever it came."""
    command = [*["--recipe", "d2l_fashion_mnist", "--model", "mnist_inception", "--input-size", "28", "--epochs", "50"]]
    together = Training._together

    def interrupted(training, function, batch):
        # Not in the first step, which may take longer than a process that is asked to leave has.
        asked = training.state.progress.step == 1

        def step(*arguments):
            if asked and when == "within a step":
                os.kill(os.getpid(), signal.SIGINT)
            return function(*arguments)

        if asked and when == "before a step":
            os.kill(os.getpid(), signal.SIGINT)
        return together(training, step, batch)

    monkeypatch.setattr(Training, "_together", interrupted)
    status = train_command.main([*command, "--data-dir", SAMPLE, "--output", str(tmp_path)])
    assert status == 128 + signal.SIGINT
    assert "Stopped by SIGINT after 2 steps of epoch 1; everything is saved" in capfd.readouterr().err


def test_another_recipe_is_not_continued(tmp_path, undisturbed):
    """A folder of another training is refused with the differing field, and its files stay."""
    folder, _ = undisturbed
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match=r"learning_rate: 0.02 in the checkpoint, 0.01 now.*--no-resume"):
        run(folder, learning_rate=0.01)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_longer_is_the_same_training(tmp_path, undisturbed):
    """A finished training is not trained again; its results are written anew."""
    folder, results = undisturbed
    again = run(folder)
    assert again["val_accuracy"] == results["val_accuracy"]
    assert again["step"] == results["step"]


@pytest.fixture(scope="module")
def stopped_late(tmp_path_factory):
    """The folder of a training that was stopped in its last epoch, with three checkpoints."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(TrainingInterruptedError):
        run(folder, callbacks=[Stop(1, 9)], checkpoint_steps=4, kept_checkpoints=3)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["truncated", "bits"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, undisturbed, stopped_late, capfd, damage):
    """The one before it is used, and the end is the same."""
    stopped = shutil.copytree(stopped_late, tmp_path / "stopped")
    newest = max((stopped / "checkpoints").iterdir())
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    run(stopped, checkpoint_steps=4, kept_checkpoints=3)
    assert f"The checkpoint {newest.name} is damaged" in capfd.readouterr().err
    assert_same(stopped, undisturbed[0])


@pytest.mark.usefixtures("eagerly")
def test_no_readable_checkpoint_is_an_error(tmp_path):
    """Nothing is silently begun anew where something was."""
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-00000016.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match="None of the checkpoints can be read"):
        run(tmp_path)
    run(tmp_path, resume=False, epochs=1, steps_per_epoch=2)


@pytest.mark.usefixtures("eagerly")
def test_nan_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    """The run ends at the step of the NaN, and the checkpoint before it is still whole."""
    with pytest.raises(TrainingInterruptedError):
        run(tmp_path, callbacks=[Stop(0, 5)], learning_rate=0.02)
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 8:
                self.model.weights[-1].assign(np.full(self.model.weights[-1].shape, np.nan))

    with pytest.raises(LossNotFiniteError, match=r"nan in epoch 1, step 9: lower the learning rate"):
        run(tmp_path, callbacks=[Spoil()], learning_rate=0.02)
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_nan_without_a_checkpoint_promises_none(tmp_path):
    """A user is not sent to a folder that does not exist, nor to the checkpoints of the training before."""

    class Spoil(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.weights[-1].assign(np.full(self.model.weights[-1].shape, np.nan))

    with pytest.raises(LossNotFiniteError, match=r"There is no checkpoint of this training yet$"):
        run(tmp_path, callbacks=[Spoil()])
    with pytest.raises(TrainingInterruptedError):
        run(tmp_path, callbacks=[Stop(0, 0)])
    with pytest.raises(LossNotFiniteError, match=r"There is no checkpoint of this training yet$"):
        run(tmp_path, callbacks=[Spoil()], resume=False)
    with pytest.raises(LossNotFiniteError, match=r"The last good checkpoint is kept in "):
        run(tmp_path, callbacks=[Spoil()])


def test_what_the_next_run_starts_from(tmp_path, monkeypatch):
    """Who interrupts a long step is told of a checkpoint only if there is one, and if the same command would use it."""
    said = []

    class Interruption(interruption.Interruption):
        def __init__(self, next_run):
            super().__init__(next_run)
            said.append(next_run())

    monkeypatch.setattr(loop, "Interruption", Interruption)
    monkeypatch.setattr(loop, "open_dataset", None)  # it is not to train
    for resume in (True, False):
        with pytest.raises(TypeError):
            run(tmp_path, resume=resume)
        (tmp_path / "checkpoints").mkdir(exist_ok=True)
        (tmp_path / "checkpoints" / "step-00000001.npz").touch()
    with pytest.raises(TypeError):
        run(tmp_path)
    assert said == [
        "there is no checkpoint yet, so the next run starts from the beginning",
        "the next run starts from the beginning if it is given --no-resume again",
        "the next run starts from the last checkpoint",
    ]


@pytest.mark.usefixtures("eagerly")
def test_a_run_that_began_anew_says_how_to_go_on(tmp_path):
    """The same command with --no-resume would throw away what was saved."""
    with pytest.raises(TrainingInterruptedError, match="the same command without --no-resume continues from there"):
        run(tmp_path, callbacks=[Stop(0, 1)], resume=False)


class Lines(Reporter):
    """A reporter whose lines are kept, and can be waited for."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.lines = []
        self._said = threading.Condition()

    def _print(self, message):
        with self._said:
            self.lines.append(message)
            self._said.notify_all()

    def wait_for(self, pattern):
        """Waits for such a line, if there is none yet."""
        with self._said:
            found = self._said.wait_for(lambda: any(re.search(pattern, line) for line in self.lines), 60)
        assert found, (pattern, self.lines)


class Wait(keras.callbacks.Callback):
    """Makes steps of the second epoch as long as it takes until a line tells of them."""

    def __init__(self, lines):
        super().__init__()
        self.lines = lines
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            self.lines.wait_for(r"^epoch 2/2  step 1/3  accuracy \d\.\d{4}  loss \d\.\d{4}  \d+ examples/s$")
            self.lines.wait_for(r"^epoch 2/2  step 2/3 has taken \d+ s so far$")

    def on_test_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (1, 0):
            self.lines.wait_for(r"^epoch 2/2  evaluation step 1/2 has taken \d+ s so far$")
        if (self.epoch, batch) == (1, 1):
            self.lines.wait_for(r"^epoch 2/2  evaluation step 1/2  accuracy .* examples/s$")

    def on_test_end(self, logs=None):
        if self.epoch == 1:
            self.lines.wait_for(r"^epoch 2/2  all 2 evaluation steps are done; subsequent work has taken \d+ s so far$")


THREE_STEPS = {"steps_per_epoch": 3, "validation_split": "test[:40]"}


@pytest.mark.slow
def test_long_steps_and_evaluations_are_told_of_without_a_terminal(tmp_path):
    """Whoever follows a log sees step, loss and rate, in a step or an evaluation that lasts as well."""
    lines = Lines(2, 32, silence=0.02)
    run(tmp_path, callbacks=[lines, Wait(lines)], **THREE_STEPS)
    assert lines.lines[0] == "epoch 1/2: tracing the first step, which can take minutes"
    assert lines._heartbeat._thread is None  # nothing is said after the end


@pytest.mark.slow
def test_what_callbacks_hear_and_what_is_said(tmp_path, monkeypatch):
    """A quick training says no more than is needed, on a terminal nothing that would tear the bar apart.

    Callbacks hear of the evaluation where `fit` calls them, with running means under Keras's names.
    """
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append("begin")

        def on_test_batch_begin(self, batch, logs=None):
            seen.append(batch)

        def on_test_batch_end(self, batch, logs=None):
            seen.append(sorted(logs))

        def on_test_end(self, logs=None):
            seen.append(logs)

    in_a_file = Lines(2, 32, silence=1e6)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    on_a_terminal = Lines(2, 32, silence=0.001)
    results = run(tmp_path, callbacks=[in_a_file, on_a_terminal, Recorder()], **THREE_STEPS)
    assert [line[:10] for line in in_a_file.lines] == ["epoch 1/2:", "epoch 1/2 ", "epoch 2/2 "]
    assert [line[:10] for line in on_a_terminal.lines] == ["epoch 1/2 ", "epoch 2/2 "]
    names = ["accuracy", "loss", "top5_accuracy"]
    assert seen[6:-1] == ["begin", 0, names, 1, names]
    assert seen[-1] == {name: results[f"val_{name}"] for name in names}


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_stall_is_said(tmp_path):
    """A network that still guesses is told of while it trains."""
    said = []
    run(tmp_path, callbacks=[StallWarning(0.3, said.append, patience=4)], learning_rate=1e-9, epochs=1)
    assert said
    assert said[0].startswith("Stalled: the mean loss of the last 4 steps is 2.3")


@pytest.mark.slow
def test_the_images_grow(tmp_path, monkeypatch, tiny):
    """Early epochs are trained and measured at the smaller size, and what is kept is trained at the larger."""
    seen = []
    evaluate = Training._evaluate

    def look(training):
        seen.append(next(training.feed(training=False))["image"].shape[1])
        return evaluate(training)

    monkeypatch.setattr(Training, "_evaluate", look)
    changes = {"model": tiny, "input_size": 32, "early_input_size": 24, "early_share": 0.7, "epochs": 3}
    run(tmp_path, **changes, batch_size=4, steps_per_epoch=1, validation_split="test[:4]")
    assert seen == [24, 24, 32]
    # Who asks for smaller images than the recipe's gets them from the first.
    assert small(**{**changes, "input_size": 20}).input_size_in(0) == 20
    with pytest.raises(ValueError, match=r"tiny needs 16x16 pixels or more. Received: 8"):
        run(tmp_path / "small", **{**changes, "early_input_size": 8})


@pytest.mark.slow
def test_accelerators_are_fed_the_same(tmp_path, monkeypatch):
    """Where there are GPUs the batches are fetched into their memory, by other means than to CPUs."""
    changes = {"average_decay": 0.9, "flip": 0.5, "shift": 2, "epochs": 1, "steps_per_epoch": 4}
    run(tmp_path / "cpu", **changes)
    monkeypatch.setattr(feeding, "has_accelerators", lambda: True)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    train(small(**changes), tmp_path / "accelerator", data_dir=SAMPLE, strategy=strategy)
    assert_same(tmp_path / "cpu", tmp_path / "accelerator")


@pytest.mark.slow
def test_keras_callbacks_work(tmp_path):
    """They are called where `fit` calls them, with what it gives them, and may stop the training."""
    seen = []

    class Recorder(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen.append("begin")

        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs)))

        def on_train_end(self, logs=None):
            seen.append("end")

    best = tmp_path / "best.weights.h5"
    callbacks = [
        Recorder(),
        keras.callbacks.EarlyStopping("val_accuracy", mode="max", min_delta=1, patience=1),
        keras.callbacks.ModelCheckpoint(str(best), monitor="val_loss", save_best_only=True, save_weights_only=True),
        keras.callbacks.CSVLogger(str(tmp_path / "keras.csv")),
    ]
    run(tmp_path / "run", callbacks=callbacks, epochs=9)
    assert seen[0] == "begin"
    assert seen[-1] == "end"
    assert [entry[0] for entry in seen[1:-1]] == [0, 1]  # patience 1: no better than the first
    assert {"accuracy", "loss", "val_accuracy", "val_loss", "learning_rate"} <= set(seen[1][1])
    assert best.exists()
    assert len((tmp_path / "keras.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_the_models_are_plain_keras(tmp_path):
    """Users may as well `compile` and `fit` on the package's data."""
    from googlenet_keras.data import Batches

    split = open_dataset("fashion_mnist", SAMPLE).split("train")
    preprocessing = model_record("mnist_inception").preprocessing
    batches = Batches(split, batch_size=32, input_size=28, preprocessing=preprocessing, training=True)
    data = batches.epoch(0).map(lambda batch: (batch["image"], batch["label"], batch["weight"]))
    model = create_model("mnist_inception")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    losses = model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0] < 3


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_builds_its_network(name):
    """Its model, preprocessing and size fit together, and its docstring has its command."""
    import importlib

    recipe = load_recipe(name)
    module = importlib.import_module(f"googlenet_keras.training.recipes.{name}")
    assert f"python -m googlenet_keras.train --recipe {name}" in module.__doc__
    record = model_record(recipe.model)
    assert (recipe.input_size or record.input_shape[0]) >= record.minimum_size
    assert not recipe.aux_heads or recipe.input_size >= record.minimum_size_of_aux_heads


def test_every_field_is_a_flag():
    """What a recipe may say, the command may say."""
    command = "--recipe fashion_mnist --output x --class-weights 1 2 3 --no-nesterov --weight-decay 0.1"
    command += " --input-size none --normalization none"
    assert recipe_changes(train_command.parser().parse_args(command.split())) == {
        **{"class_weights": (1, 2, 3), "nesterov": False, "weight_decay": 0.1},
        **{"input_size": None, "normalization": "none"},
    }
    flags = {option for action in train_command.parser()._actions for option in action.option_strings}
    assert {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Recipe)} <= flags


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be above 0"),
        ({"dropout": 1.5}, "dropout must be between 0 and 1"),
        ({"seed": -1}, "^seed must be at least 0. Received: -1$"),
        ({"schedule": "polynomial"}, "schedule must be one of constant, cosine, staircase"),
        ({"warmup_epochs": 1.0}, "Only the schedule cosine has a warm-up"),
        ({"dtype": "mixed_float16"}, "use mixed_bfloat16"),
        ({"optimizer": "muon", "momentum": 0.0}, "muon orthogonalizes the momentum"),
    ],
)
def test_a_wrong_recipe_is_refused(changes, message):
    """Before anything is loaded or written."""
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "vgg99"], "There is no model of that name"),
        (["--dropout", "0.5"], "mnist_inception has no dropout: leave it out. Received: dropout=0.5"),
        (["--aux-heads"], "mnist_inception has no aux_heads: leave it out. Received: aux_heads=True"),
        (["--seed", "-1"], "error: seed must be at least 0. Received: -1"),
        (["--strategy", "tpu"], "TensorFlow finds no TPU here"),
        (["--strategy", "multi_worker"], "needs TF_CONFIG to name the workers"),
        (["--class-weights", "1", "2"], "class_weights must be 10 numbers"),
        (["--train-split", "trian"], "trian"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, capfd, flags, message):
    """And exit status 2."""
    command = ["--recipe", "d2l_fashion_mnist", "--model", "mnist_inception", "--input-size", "28"]
    status = train_command.main([*command, "--data-dir", SAMPLE, "--output", str(tmp_path / "run"), *flags])
    error = [line for line in capfd.readouterr().err.splitlines() if line.startswith("python -m")]
    assert status == 2
    assert len(error) == 1
    assert message in error[0]


def test_a_mistake_in_a_factory_is_not_taken_for_wrong_use(tmp_path, monkeypatch):
    """A TypeError of the code that builds the network comes through as it is, for its traceback is what is needed."""

    def broken(name, **arguments):
        return len(None)

    monkeypatch.setattr(networks, "create_model", broken)
    with pytest.raises(TypeError, match="has no len"):
        run(tmp_path)


@pytest.mark.usefixtures("eagerly")
def test_what_auto_took_is_in_the_results(tmp_path, capfd):
    """A user sees in the first line and in results.json which dtype was taken, and why; checkpoints have it as well."""
    command = ["--recipe", "d2l_fashion_mnist", "--model", "mnist_inception", "--input-size", "28", "--epochs", "1"]
    command += ["--steps-per-epoch", "1", "--validation-split", "test[:8]", "--dtype", "auto", "--data-dir", SAMPLE]
    assert train_command.main([*command, "--output", str(tmp_path)]) == 0
    choice = choose_dtype("auto")
    assert choice.name in ("float32", "mixed_bfloat16")
    first = capfd.readouterr().out.splitlines()[0]
    assert first == (f"Training mnist_inception on fashion_mnist, on one CPU, in {choice.name}: {choice.reason}")
    results = json.loads((tmp_path / "results.json").read_text())
    assert (results["recipe"]["dtype"], results["dtype_reason"]) == (choice.name, choice.reason)
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    with np.load(checkpoint) as archive:
        assert json.loads(archive["facts"].item())["identity"]["dtype"] == choice.name


@pytest.mark.usefixtures("eagerly")
def test_a_checkpoint_of_another_dtype_is_not_continued(tmp_path, monkeypatch):
    """On a machine where auto takes another dtype the message says which one the training was begun in."""
    monkeypatch.setattr(loop, "choose_dtype", lambda *_: DtypeChoice("float32", "of a test"))
    run(tmp_path, dtype="auto", epochs=1, steps_per_epoch=1)
    monkeypatch.setattr(loop, "choose_dtype", lambda *_: DtypeChoice("mixed_bfloat16", "of a test"))
    with pytest.raises(ValueError, match="dtype: 'float32' in the checkpoint, 'mixed_bfloat16' now"):
        run(tmp_path, dtype="auto", epochs=1, steps_per_epoch=1)


def test_workers_of_different_dtypes_are_refused(tmp_path, monkeypatch):
    """Where auto differs from machine to machine, the message says what to give, before a network is built."""
    monkeypatch.setattr(loop, "all_have", lambda strategy, number: False)
    monkeypatch.setattr(networks, "create_model", None)
    with pytest.raises(ValueError, match=r"give all of them the same --dtype\. Received: 'auto', for which this"):
        run(tmp_path, dtype="auto")


def test_a_folder_that_cannot_be_written_is_said(tmp_path, capfd):
    """A file in the folder's place: one line, and the file as it was."""
    (tmp_path / "run").write_text("mine")
    command = ["--recipe", "d2l_fashion_mnist", "--model", "mnist_inception", "--input-size", "28"]
    status = train_command.main([*command, "--data-dir", SAMPLE, "--output", str(tmp_path / "run")])
    assert status == 2
    assert "File exists" in capfd.readouterr().err
    assert (tmp_path / "run").read_text() == "mine"


def test_schedules():
    """The learning rates of a warm-up and a cosine, and of stairs, at the steps that show their form."""
    cosine = learning_rate(small(schedule="cosine", warmup_epochs=1, learning_rate=1.0, epochs=5), steps_per_epoch=100)
    assert [float(cosine(step)) for step in (0, 50, 100, 300, 500)] == pytest.approx([0, 0.5, 1, 0.5, 0], abs=1e-6)
    stairs = learning_rate(small(schedule="staircase", learning_rate=1.0, decay_epochs=8), steps_per_epoch=10)
    assert [float(stairs(step)) for step in (79, 80, 160)] == pytest.approx([1, 0.96, 0.96**2], rel=1e-6)


def test_losses_are_weighed_as_the_recipe_says():
    """Smoothing, class weights and the auxiliary heads' 0.3, against arithmetic by hand."""
    labels = tf.constant([0, 2])
    logits = tf.constant([[2.0, 0, 0], [0, 1, 0]])
    recipe = small(label_smoothing=0.3, class_weights=(1.0, 1.0, 5.0), aux_loss_weight=0.3)
    losses = head_losses(recipe, 3)(labels, {"predictions": logits, "aux1": logits})
    logs = np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
    expected = -(targets * logs).sum(axis=1) * [1, 5]
    np.testing.assert_allclose(losses["predictions"], expected, rtol=1e-6)
    np.testing.assert_allclose(losses["aux1"], 0.3 * expected, rtol=1e-6)
    # Of mixed images: the shares of the classes, each weighed; with one class alone it is the label's.
    shares = tf.constant([[0.75, 0.25, 0], [0, 0, 1]])
    mixed = head_losses(recipe, 3)(shares, {"predictions": logits, "aux1": logits})["predictions"]
    targets = 0.7 * shares.numpy() + 0.1
    np.testing.assert_allclose(mixed, -(targets * logs).sum(axis=1) * [1, 5], rtol=1e-6)


def test_weight_decay_is_for_kernels_alone():
    """Biases and normalization are left alone: they would only be pulled to zero."""
    model = create_model("googlenet_bn", input_shape=(32, 32, 1), classes=10)
    decayed = {variable.name for variable in model.trainable_variables if is_decayed(variable)}
    spared = {variable.name for variable in model.trainable_variables if not is_decayed(variable)}
    assert decayed == {"kernel"}
    assert spared == {"bias", "gamma", "beta"}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_decay_and_clipping_are_exact(tmp_path, optimizer):
    """One step of SGD equals the arithmetic: the gradient's length cut, the penalty's gradient added."""
    rate, decay, clip = 0.5, 0.01, 1e-3
    recipe = small(
        optimizer=optimizer, learning_rate=rate, momentum=0.0, weight_decay=decay, gradient_clip=clip, epochs=1
    )
    training = Training(recipe, tmp_path, open_dataset("fashion_mnist", SAMPLE), tf.distribute.get_strategy())
    variables = training.state.model.trainable_variables
    before = [variable.numpy() for variable in variables]
    training.steps.train(next(training.feed(training=True)))
    after = [variable.numpy() for variable in variables]
    moved = math.sqrt(sum(float(np.sum((new - old) ** 2)) for new, old in zip(after, before, strict=True)))
    if optimizer == "sgd":
        assert moved == pytest.approx(rate * clip, rel=1e-4)  # the penalty's gradient is clipped with the loss's
    else:
        assert moved > rate * clip


@pytest.mark.parametrize(("shape", "dtype", "tolerance"), [((30, 20), "float32", 1e-3), ((20, 30), "bfloat16", 0.1)])
def test_muon_orthogonalizes(shape, dtype, tolerance):
    """The singular vectors stay, and the values become those of the polynomial, taken three times."""
    matrix = np.random.default_rng(0).normal(size=shape).astype("float32")
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values /= np.linalg.norm(matrix)
    for _ in range(3):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    assert values.min() > 0.6
    assert values.max() < 1.3
    # bfloat16 keeps 8 bits of each product.
    result = np.asarray(orthogonalize(tf.constant(matrix), dtype), "float32")
    assert np.linalg.norm(result - left * values @ right, 2) < tolerance


def test_a_step_of_muon_is_exact():
    """A convolution's kernel is brought to its norm and turned; a dense kernel and a bias take the plain step."""
    rate, momentum = 0.1, 0.8
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.normal(size=shape), dtype="float32") for shape in [(3, 3, 4, 8), (5, 6), (6,)]]
    gradients = [[tf.constant(random.normal(size=v.shape), "float32") for v in variables] for _ in range(2)]
    expected = [variable.numpy() for variable in variables]
    averages = [np.zeros(variable.shape) for variable in variables]
    muon = Muon(rate, momentum)
    muon.build(variables)
    for step in gradients:
        muon.apply(step, variables)
        for index, gradient in enumerate(step):
            averages[index] = momentum * averages[index] + gradient.numpy()
            ahead = momentum * averages[index] + gradient.numpy()
            if index == 0:
                expected[0] *= np.sqrt(8) / np.linalg.norm(expected[0])
                ahead = np.reshape(orthogonalize(tf.constant(ahead.reshape(-1, 8), "float32")), ahead.shape)
            expected[index] = expected[index] - rate * ahead
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-5)
    assert Muon.from_config(muon.get_config()).get_config() == muon.get_config()


def test_muon_is_for_networks_with_normalization():
    """Elsewhere a kernel's norm is part of what the network computes."""
    model = create_model("mnist_inception")
    with pytest.raises(ValueError, match=r"use sgd or adamw. Received: mnist_inception, in which "):
        create_optimizer(small(optimizer="muon"), model, 10)


@pytest.mark.slow
def test_heads_are_trained_and_told_of(tmp_path, tiny):
    """With auxiliary heads the log has each head's accuracy, and the kept weights fit a network without them."""
    changes = {"model": tiny, "input_size": 32, "aux_heads": True, "batch_size": 8, "epochs": 1}
    results = run(tmp_path, **changes, steps_per_epoch=2, validation_split="test[:8]", synchronized=True)
    assert {"accuracy", "aux1_accuracy"} <= results.keys()
    create_model(tiny, input_shape=(32, 32, 1), classes=10, weights=tmp_path / "model.weights.h5")


def test_help_is_quick(python):
    """`--help` starts neither TensorFlow nor Keras."""
    script = (
        "import sys\nfrom googlenet_keras.commands.train import parser\nparser().format_help()\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules), 'imported'"
    )
    process = python("-c", script)
    assert process.returncode == 0, process.stderr


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVES.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_learns_fashion_mnist(tmp_path):
    """The command, the recipe and the real data: 6,400 images make GoogLeNet at 32x32 far better than a guess."""
    data = tmp_path / "data"
    assert data_command.main(["prepare", "fashion_mnist", "--from", str(ARCHIVES), "--data-dir", str(data)]) == 0
    folder = tmp_path / "run"
    command = "--recipe fashion_mnist --input-size 32 --epochs 1 --steps-per-epoch 100 --warmup-epochs 0.2 --erase 0"
    command += " --batch-size 64 --average-decay 0.98 --validation-split test[:2000]"
    command += f" --data-dir {data} --output {folder}"
    assert train_command.main(command.split()) == 0
    results = json.loads((folder / "results.json").read_text())
    assert results["val_accuracy"] > 0.6
    # The pipeline is not what is waited for: the wait's share of a step, far above what was measured (2%).
    assert results["wait_per_step"] * results["examples_per_second"] / 64 < 0.25


def test_equal_logits_count_alike_in_training_and_evaluation():
    """A network whose logits are all zero for some images seems more accurate in the log than `evaluate` finds it."""
    generator = np.random.default_rng(0)
    logits = generator.integers(0, 3, (256, 10)).astype("float32")
    logits[:64] = 0
    labels = generator.integers(0, 10, 256).astype("int32")
    tally = Tally([str(label) for label in range(10)])
    tally.add(logits, labels)
    batch = {"label": tf.constant(labels), "weight": tf.ones(256)}
    correct = [float(count_correct(batch, tf.constant(logits), k)) / 256 for k in (1, 5)]
    assert correct == [tally.scores().top1, tally.scores().top5]
    zeros = count_correct({"label": tf.range(10), "weight": tf.ones(10)}, tf.zeros((10, 10)), 1)
    assert float(zeros) == 1
