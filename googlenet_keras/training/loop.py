"""The training loop, which is the same for one device and for many, and uses public API only.

Keras 3's ``fit`` fails under MultiWorkerMirroredStrategy, and if the size of the first batch is not divisible by the
number of replicas (keras-team/keras#20585). This loop runs the steps with ``strategy.run`` instead, and calls Keras
callbacks at the same points as ``fit``.

The module `steps` defines what a step does, and `state` defines what it changes; this module decides when a step runs.
"""

import contextlib
import dataclasses
import functools
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.data import Augmentation, Batches, Dataset, Timed, open_dataset, trained_split
from googlenet_keras.devices import choose_dtype, has_other_workers, is_chief
from googlenet_keras.files import output_folder
from googlenet_keras.models.trained import trained_preprocessing
from googlenet_keras.training import checkpoints, records
from googlenet_keras.training.feeding import feed
from googlenet_keras.training.interruption import Interruption
from googlenet_keras.training.networks import network_arguments
from googlenet_keras.training.objective import by_head
from googlenet_keras.training.parts import frozen_line
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.starting import Start, settle_start
from googlenet_keras.training.state import Clock, Progress, Row, create_state
from googlenet_keras.training.steps import Batch, Steps
from googlenet_keras.training.workers import LOST, WorkerLostError, all_have, wait_for_all

# The number of steps between updates of the moving average, each of which applies the decay of all these steps. Updates
# after every step would make the training 5% slower.
AVERAGE_STEPS = 8
CHECKPOINTS = "checkpoints"


class TrainingInterruptedError(Exception):
    """A signal ended the training, whose state is saved; the attribute `signal` is the number of the signal."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal


class LossNotFiniteError(RuntimeError):
    """The loss became NaN or infinite; the last checkpoint, if there is one, was written before that."""


def train(
    recipe: Recipe,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    resume: bool = True,
    max_bad: int = 10,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a recipe's model and writes its weights, log, picture and results to a folder.

    Args:
        recipe: The recipe to train. If its dtype is ``"auto"``, `choose_dtype` chooses one, and checkpoints and results
            contain the chosen one.
        output: The folder for ``model.weights.h5``, ``model_card.md``, ``results.json``, ``log.csv``, ``curves.png``
            and ``checkpoints/``. If there are several workers, only the chief writes to it, but all must be able to
            read it.
        data_dir: The folder that holds the data of TensorFlow Datasets; None means its default folder.
        strategy: The strategy to train with, see `create_strategy`; None means the strategy in whose scope this
            function is called.
        resume: Whether to continue from the newest checkpoint in the folder, if there is one.
        max_bad: See `googlenet_keras.data.open_dataset`.
        callbacks: Keras callbacks, which every worker calls at the same points as ``fit``. They can stop the training
            at the end of an epoch with ``model.stop_training``. Give an EarlyStopping its ``mode``, because Keras
            cannot infer it here.

    Returns:
        The content of ``results.json``.

    Raises:
        ValueError: If the data or the weights to start from are not available, a setting of the recipe is not
            supported, the folder contains a checkpoint of another training, or the workers would use different dtypes
            or weights, or start at different steps.
        OSError: If the folder cannot be written.
        RuntimeError: If published weights cannot be downloaded.
        LossNotFiniteError: If the loss becomes NaN or infinite.
        TrainingInterruptedError: If this or another worker received SIGTERM or Ctrl-C; a checkpoint with all the
            progress has then been written.
        WorkerLostError: If another worker is lost.
    """
    output = Path(output)
    data_dir = None if data_dir is None else Path(data_dir)
    strategy = strategy or tf.distribute.get_strategy()
    next_run = functools.partial(checkpoints.next_run, output / CHECKPOINTS, resume=resume)
    folder = output_folder(output) if is_chief(strategy) else contextlib.nullcontext()
    with Interruption(next_run) as interruption, folder:
        try:
            training = Training(recipe, output, open_dataset(recipe.dataset, data_dir, max_bad=max_bad), strategy)
            return training.run(resume=resume, callbacks=callbacks, interruption=interruption)
        except LOST as error:
            if not has_other_workers(strategy):
                raise
            raise WorkerLostError(
                f"Another worker is gone; see its log for the reason. Start all workers again: {next_run()}"
            ) from error


class Training:
    """Runs a recipe: decides when to run a step, evaluate the network, write a checkpoint, and end the training.

    Args:
        recipe: The recipe to train.
        output: See `train`.
        dataset: The dataset to train on.
        strategy: The strategy to train with.

    Attributes:
        recipe: The recipe, with the dtype that was chosen, and with the network and input size of the weights to start
            from if it names none.
        state: The networks, the optimizer and the progress of the training.
        steps: The functions that run the steps.

    Raises:
        ValueError: See `train`.
    """

    def __init__(self, recipe: Recipe, output: Path, dataset: Dataset, strategy: tf.distribute.Strategy) -> None:
        recipe, self._dtype_reason = _with_settled_dtype(recipe, strategy)
        self.recipe, self._start = _with_settled_start(recipe, strategy)
        self._output, self._dataset, self._strategy = output, dataset, strategy
        self._is_chief = is_chief(strategy)
        self._train_split = dataset.split(recipe.train_split)
        self._validation_split = dataset.split(trained_split(dataset, recipe.validation_split))
        self._left_out = {**self._train_split.bad, **self._validation_split.bad}
        if self._is_chief:
            for file, reason in self._left_out.items():
                print(f"{file}: {reason}; left out", file=sys.stderr)
        record = dataclasses.replace(self._start.record, preprocessing=self._start.preprocessing)
        self._preprocessing = trained_preprocessing(record, whole_images=dataset.small)
        self._steps_per_epoch = self._batches(training=True, epoch=0).steps
        with strategy.scope():
            self.state = create_state(self.recipe, self._start, dataset, self._steps_per_epoch)
        self.steps = Steps(self.recipe, self.state, dataset.classes, strategy)
        self._checkpoints = checkpoints.Checkpoints(
            output / CHECKPOINTS, self.state.variables(), _identity(self.recipe, self._start), recipe.kept_checkpoints
        )

    def run(
        self, *, resume: bool, callbacks: Sequence[keras.callbacks.Callback], interruption: Interruption
    ) -> dict[str, Any]:
        """Runs the training to its end; see `train`."""
        self._resumes = resume
        self._interruption = interruption
        self._signal: Signals | None = None
        self._find_start()
        self._clock = Clock(self.state.progress.seconds)
        model = self.state.model
        self._hooks = keras.callbacks.CallbackList(list(callbacks), model=model)
        self._hooks.set_params(
            {
                "epochs": self.recipe.epochs,
                "steps": self._steps_per_epoch,
                "validation_steps": self._batches(training=False).steps,
                "verbose": 0,
                "begun_at": self._steps_done(),
            }
        )
        model.stop_training = False
        self._hooks.on_train_begin()
        while self.state.progress.epoch < self.recipe.epochs and not model.stop_training:
            self._epoch()
        results = self._finish()
        rows = self.state.progress.rows
        self._hooks.on_train_end(rows[-1] if rows else {})
        return results

    def _find_start(self) -> None:
        """Restores the newest checkpoint, or else loads the recipe's weights, and checks that all workers agree."""
        if not self._resumes:
            self._checkpoints.forget()
        facts = self._checkpoints.restore() if self._resumes else None
        lines: list[str] = []
        if facts:
            self.state.progress = Progress(**facts)
        elif self._start.weights is not None:
            lines = self._start.load(self.state.model, self._dataset)
            self.state.average.set_weights(self.state.model.get_weights())
        if self.state.freezable:
            lines.append(frozen_line(self.recipe, self.state.model, self.state.freezable))
        if self._is_chief and lines:
            print(*lines, sep="\n", flush=True)
        if not all_have(self._strategy, self._steps_done()):
            raise ValueError(
                "The workers would begin at different steps: give all of them the same --output, a folder that all of "
                f"them can read. Received: {str(self._output)!r}, where this worker finds step {self._steps_done()}"
            )

    def _epoch(self) -> None:
        """Runs the rest of the current epoch, and evaluates the network."""
        progress = self.state.progress
        self.state.freeze(self.recipe.freezes_in(progress.epoch))
        self._hooks.on_epoch_begin(progress.epoch)
        batches = self.feed(training=True)
        first, begun = progress.step, self._clock.read()
        while progress.step < self._steps_per_epoch:
            self._step(batches)
        trained = self._clock.read(waited=batches.seconds)
        steps = progress.step - first
        row = {
            "epoch": progress.epoch + 1,
            "step": self._steps_done(),
            "learning_rate": float(keras.ops.convert_to_numpy(self.state.optimizer.learning_rate)),
            **self._means(),
            **self._evaluate(),
            "examples_per_second": steps * self.recipe.batch_size / max(1e-9, trained["wall"] - begun["wall"]),
            "wait_per_step": (trained["wait"] - begun["wait"]) / max(1, steps),
        }
        self._clock.settle(waited=batches.seconds)
        progress.seconds = self._clock.read()
        row |= {"seconds": progress.seconds["wall"], "cpu_seconds": progress.seconds["cpu"]}
        progress.rows.append(row)
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, []
        self._save()
        if self._is_chief:
            records.write_log(self._output, progress.rows)
        self._hooks.on_epoch_end(progress.epoch - 1, {name: value for name, value in row.items() if name != "epoch"})

    def _step(self, batches: Timed[Batch]) -> None:
        """Runs one step of training, and everything that follows it, such as callbacks and checkpoints."""
        progress = self.state.progress
        self._hooks.on_train_batch_begin(progress.step)
        # Reading the sums after every step costs nothing on a CPU, but synchronizes a GPU.
        sums = self._together(self.steps.train, next(batches))
        self._check_finite(sums[0])
        progress.sums = (np.add(progress.sums, sums) if progress.sums else sums).tolist()
        progress.step += 1
        self._move_average()
        self._hooks.on_train_batch_end(progress.step - 1, self._means())
        progress.seconds = self._clock.read(waited=batches.seconds)
        self._leave_if_asked()
        if progress.step % self.recipe.checkpoint_steps == 0 and progress.step < self._steps_per_epoch:
            self._save()

    def _evaluate(self) -> Row:
        """Evaluates the network that will be saved on the validation split.

        Returns:
            A dict with ``val_loss``, which is the cross-entropy in nats without label smoothing and class weights,
            ``val_accuracy`` and ``val_top5_accuracy``.
        """
        self.steps.agree_on_moments()
        batches = self.feed(training=False)
        total = np.zeros(4)
        means: Row = {}
        self._hooks.on_test_begin()
        for step in range(self._batches(training=False).steps):
            self._hooks.on_test_batch_begin(step)
            total += self._together(self.steps.evaluate, next(batches))
            loss, examples, top1, top_k = total
            means = {"loss": loss / examples, "accuracy": top1 / examples, "top5_accuracy": top_k / examples}
            self._hooks.on_test_batch_end(step, means)
            self._leave_if_asked()
        self._hooks.on_test_end(means)
        return {f"val_{name}": value for name, value in means.items()}

    def _finish(self) -> dict[str, Any]:
        """Writes the results, and waits for all workers before it returns them."""
        progress = self.state.progress
        results = records.summarize(self.recipe, self._dataset, self.state.model, progress.rows) | {
            "dtype_reason": self._dtype_reason,
            "replicas": self._strategy.num_replicas_in_sync,
            "bad_images": list(self._left_out),
        }
        if self._is_chief:
            arguments = network_arguments(self.recipe, self._start)
            card = records.create_card(self.recipe, arguments, self._dataset, self._preprocessing, progress.rows)
            records.write_results(self._output, self.state.average, card, results, progress.rows)
        wait_for_all(self._strategy)
        return results

    def feed(self, *, training: bool) -> Timed[Batch]:
        """Returns the batches for this process.

        Args:
            training: If True, returns the training batches from the current step of the current epoch on; if False,
                those of an evaluation.
        """
        first_step = self.state.progress.step if training else 0

        def source(replicas: Sequence[int]) -> tf.data.Dataset:
            epoch = self.state.progress.epoch if training else 0
            return self._batches(replicas, training=training).epoch(epoch, first_step)

        return feed(self._strategy, source)

    def _batches(self, shards: Sequence[int] = (0,), *, training: bool, epoch: int | None = None) -> Batches:
        """Creates the batches of the training or validation split for some replicas, with an epoch's input size."""
        epoch = self.state.progress.epoch if epoch is None else epoch
        return Batches(
            self._train_split if training else self._validation_split,
            training=training,
            steps=self.recipe.steps_per_epoch if training else None,
            batch_size=self.recipe.batch_size,
            input_size=self.recipe.input_size_in(epoch),
            preprocessing=self._preprocessing,
            augmentation=_augmentation(self.recipe) if training else None,
            seed=self.recipe.seed,
            shards=tuple(shards),
            shard_count=self._strategy.num_replicas_in_sync,
        )

    def _steps_done(self) -> int:
        progress = self.state.progress
        return progress.epoch * self._steps_per_epoch + progress.step

    def _means(self) -> Row:
        """Returns the mean loss and accuracies over the completed steps of the current epoch."""
        loss, examples, *correct = self.state.progress.sums
        heads = by_head(self.state.model.output)
        names = ["accuracy" if head == "predictions" else f"{head}_accuracy" for head in heads]
        return {"loss": loss / examples, **{name: value / examples for name, value in zip(names, correct, strict=True)}}

    def _check_finite(self, loss: float) -> None:
        if np.isfinite(loss):
            return
        progress = self.state.progress
        kept = f"The last good checkpoint is kept in {str(self._checkpoints.folder)!r}"
        raise LossNotFiniteError(
            f"The loss is {loss} in epoch {progress.epoch + 1}, step {progress.step + 1}: lower the learning rate, "
            "lengthen the warm-up or set gradient_clip. "
            f"{kept if self._checkpoints.current() else 'There is no checkpoint of this training yet'}"
        )

    def _move_average(self) -> None:
        done = self._steps_done()
        decay = self.recipe.average_decay
        if decay and (done % AVERAGE_STEPS == 0 or self.state.progress.step == self._steps_per_epoch):
            # A smaller decay in the first steps soon removes the initial, untrained weights from the average.
            decay = min(decay, (1 + done) / (10 + done)) ** AVERAGE_STEPS
            self.steps.move_average(tf.constant(decay, "float32"))

    def _together(self, step: Callable[[Batch, tf.Tensor], tf.Tensor], batch: Batch) -> np.ndarray:
        """Runs a step on all replicas, returns its sums, and records whether any worker received a signal before it."""
        numbers = step(batch, tf.constant(self._interruption.requested or 0, "float32")).numpy()
        # A signal may also arrive during the step. It ends the training only after all workers know of it, because a
        # worker would otherwise wait for one that has left. A worker that received no signal itself acts as if it had
        # received SIGTERM.
        requested = self._interruption.requested
        agreed = numbers[0] if has_other_workers(self._strategy) else requested
        self._signal = (requested or SIGTERM) if agreed else None
        return numbers[1:]

    def _leave_if_asked(self) -> None:
        number = self._signal
        if number is None:
            return
        self._save()
        wait_for_all(self._strategy)
        progress = self.state.progress
        raise TrainingInterruptedError(
            number,
            f"Stopped by {number.name} after {progress.step} steps of epoch {progress.epoch + 1}; everything is saved, "
            f"and the same command {'' if self._resumes else 'without --no-resume '}continues from there",
        )

    def _save(self) -> None:
        self.steps.agree_on_moments()
        if self._is_chief:
            self._checkpoints.save(self._steps_done(), dataclasses.asdict(self.state.progress))


def _with_settled_dtype(recipe: Recipe, strategy: tf.distribute.Strategy) -> tuple[Recipe, str]:
    """Returns the recipe with the dtype that all workers compute in, and the reason for this dtype."""
    choice = choose_dtype(recipe.dtype, strategy)
    if not all_have(strategy, zlib.crc32(choice.name.encode())):
        raise ValueError(
            "The workers would compute in different dtypes: give all of them the same --dtype. "
            f"Received: {recipe.dtype!r}, for which this worker chooses {choice.name} ({choice.reason})"
        )
    return dataclasses.replace(recipe, dtype=choice.name), choice.reason


def _with_settled_start(recipe: Recipe, strategy: tf.distribute.Strategy) -> tuple[Recipe, Start]:
    """Calls `settle_start`, and checks that all workers start from the same weights."""
    recipe, start = settle_start(recipe)
    if not all_have(strategy, int((start.checksum or "0")[:8], 16)):
        raise ValueError(
            "The workers would start from different weights: give all of them the same file. "
            f"Received: {recipe.weights!r} with the SHA-256 {start.checksum}"
        )
    return recipe, start


def _augmentation(recipe: Recipe) -> Augmentation:
    return Augmentation(
        **{field.name: getattr(recipe, field.name) for field in dataclasses.fields(Augmentation) if field.init}
    )


def _identity(recipe: Recipe, start: Start) -> dict[str, Any]:
    # The checksum identifies the weights, because a file may be moved, and another one may get its name.
    return {**recipe.identity(), "weights": start.checksum and f"of SHA-256 {start.checksum}"}
