"""The training loop: one path for one device and for many, over public API.

Keras 3's ``fit`` fails under MultiWorkerMirroredStrategy and for a first batch that does not divide by the replicas
(keras-team/keras#20585); here ``strategy.run`` runs a step, and Keras's own callbacks are called where ``fit`` would.
"""

import contextlib
import dataclasses
import functools
import inspect
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.data import Augmentation, Batches, Dataset, Timed, open_dataset, trained_split
from googlenet_keras.devices import choose_dtype, has_accelerators, has_other_workers, is_chief
from googlenet_keras.files import output_folder
from googlenet_keras.layers import BatchNormalization
from googlenet_keras.models import create_model, model_record
from googlenet_keras.models.trained import trained_preprocessing
from googlenet_keras.training import checkpoints, records
from googlenet_keras.training.interruption import Interruption
from googlenet_keras.training.objective import by_head, create_optimizer, has_penalty, head_losses
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.weights.cards import Card, package_versions

# The moving average is taken every so many steps, with the decay of all of them: each step it would cost 5%.
AVERAGE_STEPS = 8
CHECKPOINTS = "checkpoints"
TOP_K = 5

Row = dict[str, float]


class TrainingInterruptedError(Exception):
    """A signal ended the training; its state is saved. `signal` is the signal's number."""

    def __init__(self, signal: int, message: str) -> None:
        super().__init__(message)
        self.signal = signal


class LossNotFiniteError(RuntimeError):
    """The loss became NaN or infinite; the last checkpoint is from before."""


class WorkerLostError(RuntimeError):
    """Another worker died or left: nothing can be summed over all of them any more."""


# What TensorFlow's sums over workers end with when one is gone: at once if its connections are closed, otherwise when
# its heartbeat has been missing for 10 seconds.
_WORKER_LOST = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


@dataclass
class Progress:
    """Where a training is; all of it is in every checkpoint.

    Attributes:
        epoch: Epochs that are whole.
        step: Steps of the epoch that is not.
        sums: What `_Replicated.train` answered, summed over those steps.
        seconds: Spent so far by all the processes that worked on it: wall clock, CPU, and waiting for data.
        rows: A row of the log for each whole epoch.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = dataclasses.field(default_factory=list)
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"wall": 0.0, "cpu": 0.0, "wait": 0.0})
    rows: list[Row] = dataclasses.field(default_factory=list)


def train(
    recipe: Recipe,
    output: Path,
    *,
    data_dir: Path | None = None,
    strategy: tf.distribute.Strategy | None = None,
    resume: bool = True,
    max_bad: int = 10,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, Any]:
    """Trains a recipe's model and leaves its weights, log, picture and results in a folder.

    Args:
        recipe: What to train, on what and how. For the dtype ``"auto"`` see `choose_dtype`; checkpoints and results
            have the one that was taken.
        output: The folder: ``model.weights.h5``, ``results.json``, ``log.csv``, ``curves.png`` and ``checkpoints/``.
            Under several workers only the chief writes it; all must be able to read it.
        data_dir: Where TensorFlow Datasets keeps its data; None is its own default.
        strategy: Where to train, see `create_strategy`; None is the strategy whose scope this is called in.
        resume: Whether to go on from the newest checkpoint in the folder, if there is one.
        max_bad: See `googlenet_keras.data.open_dataset`.
        callbacks: Keras callbacks, called on every worker where ``fit`` calls them. They may stop the training at the
            end of an epoch through ``model.stop_training``. Keras cannot guess the ``mode`` of an EarlyStopping here.

    Returns:
        What is in ``results.json``.

    Raises:
        ValueError: If the data cannot be had, the folder holds another training's checkpoint, or the workers would take
            different dtypes.
        OSError: If the folder cannot be written.
        LossNotFiniteError: If the loss becomes NaN or infinite.
        TrainingInterruptedError: If a SIGTERM or Ctrl-C came, to this or another worker; what was done is in a
            checkpoint.
        WorkerLostError: If another worker is gone.
    """
    strategy = strategy or tf.distribute.get_strategy()
    next_run = functools.partial(checkpoints.next_run, output / CHECKPOINTS, resume=resume)
    folder = output_folder(output) if is_chief(strategy) else contextlib.nullcontext()
    with Interruption(next_run) as interruption, folder:
        try:
            training = Training(recipe, output, open_dataset(recipe.dataset, data_dir, max_bad=max_bad), strategy)
            return training.run(resume=resume, callbacks=callbacks, interruption=interruption)
        except _WORKER_LOST as error:
            if not has_other_workers(strategy):
                raise
            raise WorkerLostError(
                f"Another worker is gone; its own log says why. Start all of them again: {next_run()}"
            ) from error


class Training:
    """A recipe at work: the model, its optimizer, its moving average, the data and the checkpoints.

    Args:
        recipe: What to train, on what and how.
        output: See `train`.
        dataset: What to train on.
        strategy: Where to train.

    Attributes:
        recipe: The recipe, with the dtype that was taken.
        dtype_reason: Why it is that dtype.
        model: The model that is trained; it answers logits.
        average: The model of the moving average, or the same model where there is none: what is measured and kept.
        progress: Where the training is.
    """

    def __init__(self, recipe: Recipe, output: Path, dataset: Dataset, strategy: tf.distribute.Strategy) -> None:
        choice = choose_dtype(recipe.dtype, strategy)
        if not _all_have(strategy, zlib.crc32(choice.name.encode())):
            raise ValueError(
                "The workers would compute in different dtypes: give all of them the same --dtype. "
                f"Received: {recipe.dtype!r}, for which this one takes {choice.name} ({choice.reason})"
            )
        self.recipe = recipe = dataclasses.replace(recipe, dtype=choice.name)
        self.dtype_reason = choice.reason
        self.output = output
        self.dataset = dataset
        self.strategy = strategy
        self.chief = is_chief(strategy)
        self.train_split = dataset.split(recipe.train_split)
        self.validation_split = dataset.split(trained_split(dataset, recipe.validation_split))
        if self.chief:
            for file, reason in self._left_out().items():
                print(f"{file}: {reason}; left out", file=sys.stderr)
        self.preprocessing = trained_preprocessing(model_record(recipe.model), whole_images=dataset.small)
        self.progress = Progress()
        train_steps = self.batches(training=True).steps
        self.steps = min(train_steps, recipe.steps_per_epoch or train_steps)
        keras.utils.set_random_seed(recipe.seed)
        with strategy.scope():
            self.model = self._create_model()
            self.average = self._create_model() if recipe.average_decay else self.model
            if self.average is not self.model:
                self.average.set_weights(self.model.get_weights())
            self.optimizer = create_optimizer(recipe, self.model, self.steps)
            # For callbacks, which look for the optimizer at the model.
            self.model.compile(self.optimizer)
        self.heads = list(by_head(self.model.output))
        self._replicated = _Replicated(self)
        self._checkpoints = checkpoints.Checkpoints(
            output / CHECKPOINTS, self._variables(), _identity(recipe), recipe.kept_checkpoints
        )

    def _create_model(self) -> keras.Model:
        recipe = self.recipe
        sizes = {recipe.input_size_in(epoch) for epoch in range(recipe.epochs)}
        record = model_record(recipe.model)
        smallest = record.minimum_size
        if min(sizes) < smallest:
            raise ValueError(f"{recipe.model} takes {smallest}x{smallest} pixels or more. Received: {min(sizes)}")
        size = recipe.input_size if len(sizes) == 1 else None
        arguments: dict[str, Any] = {
            "classes": self.dataset.classes,
            "input_shape": (size, size, self.dataset.channels),
            "classifier_activation": None,
            "dtype": recipe.dtype,
        }
        optional = _optional_arguments(recipe)
        for name, value in optional.items():
            if name not in inspect.signature(record.factory).parameters:
                raise ValueError(f"{recipe.model} has no {name}: leave it out. Received: {name}={value}")
        model = create_model(recipe.model, **arguments, **optional)
        for layer in model.layers:
            if isinstance(layer, BatchNormalization):
                layer.synchronized = recipe.synchronized
        return model

    def batches(self, shards: Sequence[int] = (0,), *, training: bool) -> Batches:
        """The batches of the training or the validation split, for some of the replicas, in the present epoch.

        Args:
            shards: Their numbers among all replicas.
            training: Which of the splits.
        """
        return Batches(
            self.train_split if training else self.validation_split,
            training=training,
            batch_size=self.recipe.batch_size,
            input_size=self.recipe.input_size_in(self.progress.epoch),
            preprocessing=self.preprocessing,
            augmentation=_augmentation(self.recipe) if training else None,
            seed=self.recipe.seed,
            shards=tuple(shards),
            shard_count=self.strategy.num_replicas_in_sync,
        )

    def _variables(self) -> dict[str, keras.Variable]:
        """Everything that a step changes, by name."""
        groups = {"model": self.model.variables, "optimizer": self.optimizer.variables}
        if self.average is not self.model:
            groups["average"] = self.average.variables
        return {
            f"{group}/{index}/{variable.name}": variable
            for group, variables in groups.items()
            for index, variable in enumerate(variables)
        }

    def run(
        self, *, resume: bool, callbacks: Sequence[keras.callbacks.Callback], interruption: Interruption
    ) -> dict[str, Any]:
        """Trains to the recipe's end; see `train`."""
        self._resumes = resume
        if resume:
            facts = self._checkpoints.restore()
            if facts:
                self.progress = Progress(**facts)
        else:
            self._checkpoints.forget()
        begun_at = self._steps_done()
        if not _all_have(self.strategy, begun_at):
            raise ValueError(
                "The workers would begin at different steps: give all of them the same --output, in a folder that "
                f"all can read. Received: {str(self.output)!r}, where this one finds step {begun_at}"
            )
        self._clock = _Clock(self.progress.seconds)
        self._interruption = interruption
        self._signal: Signals | None = None
        hooks = keras.callbacks.CallbackList(list(callbacks), model=self.model)
        self._hooks = hooks
        validation_steps = self.batches(training=False).steps
        hooks.set_params(
            {
                "epochs": self.recipe.epochs,
                "steps": self.steps,
                "validation_steps": validation_steps,
                "verbose": 0,
                "begun_at": begun_at,
            }
        )
        self.model.stop_training = False
        hooks.on_train_begin()
        while self.progress.epoch < self.recipe.epochs and not self.model.stop_training:
            self._epoch(hooks)
        results = self._results()
        if self.chief:
            records.write_results(self.output, self.average, self._card(), results, self.progress.rows)
        self._replicated.wait_for_all()
        hooks.on_train_end(self.progress.rows[-1] if self.progress.rows else {})
        return results

    def _epoch(self, hooks: keras.callbacks.CallbackList) -> None:
        """One epoch, from the step where it was left, and its measurement."""
        progress = self.progress
        hooks.on_epoch_begin(progress.epoch)
        batches = self._replicated.batches(training=True, epoch=progress.epoch, first_step=progress.step)
        begun = self._clock.read()
        steps_here = self.steps - progress.step
        for _ in range(steps_here):
            hooks.on_train_batch_begin(progress.step)
            # The sums are looked at after every step: on a CPU they are there, on a GPU it costs a synchronization.
            sums = self._together(self._replicated.train, next(batches))
            if not np.isfinite(sums[0]):
                kept = f"The last good checkpoint is kept in {str(self._checkpoints.folder)!r}"
                raise LossNotFiniteError(
                    f"The loss is {sums[0]} in epoch {progress.epoch + 1}, step {progress.step + 1}: lower the "
                    "learning rate, lengthen the warm-up or set gradient_clip. "
                    f"{kept if self._checkpoints.current() else 'There is no checkpoint of this training yet'}"
                )
            progress.sums = (np.add(progress.sums, sums) if progress.sums else sums).tolist()
            progress.step += 1
            self._move_average()
            hooks.on_train_batch_end(progress.step - 1, self._means())
            progress.seconds = self._clock.read(waited=batches.seconds)
            self._leave_if_asked()
            if progress.step % self.recipe.checkpoint_steps == 0 and progress.step < self.steps:
                self._save()
        trained = self._clock.read(waited=batches.seconds)
        row = {
            "epoch": progress.epoch + 1,
            "step": (progress.epoch + 1) * self.steps,
            "learning_rate": float(keras.ops.convert_to_numpy(self.optimizer.learning_rate)),
            **self._means(),
            **self.evaluate(),
            "examples_per_second": steps_here * self.recipe.batch_size / max(1e-9, trained["wall"] - begun["wall"]),
            "wait_per_step": (trained["wait"] - begun["wait"]) / max(1, steps_here),
        }
        self._clock.settle(waited=batches.seconds)
        progress.seconds = self._clock.read()
        row |= {"seconds": progress.seconds["wall"], "cpu_seconds": progress.seconds["cpu"]}
        progress.rows.append(row)
        progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, []
        self._save()
        if self.chief:
            records.write_log(self.output, progress.rows)
        hooks.on_epoch_end(progress.epoch - 1, {name: value for name, value in row.items() if name != "epoch"})

    def _steps_done(self) -> int:
        return self.progress.epoch * self.steps + self.progress.step

    def _means(self) -> Row:
        """Loss and accuracies over the epoch so far."""
        loss, examples, *correct = self.progress.sums
        names = ["accuracy" if head == "predictions" else f"{head}_accuracy" for head in self.heads]
        return {"loss": loss / examples, **{name: value / examples for name, value in zip(names, correct, strict=True)}}

    def evaluate(self) -> Row:
        """Measures the model that is kept on the validation split.

        Returns:
            ``val_loss``, the cross-entropy without smoothing and weights in nats, ``val_accuracy`` and
            ``val_top5_accuracy``.
        """
        self._replicated.agree_on_moments()
        batches = self._replicated.batches(training=False)
        total = np.zeros(4)
        means: Row = {}
        self._hooks.on_test_begin()
        for step in range(self.batches(training=False).steps):
            self._hooks.on_test_batch_begin(step)
            total += self._together(self._replicated.evaluate, next(batches))
            loss, examples, top1, top_k = total
            means = {"loss": loss / examples, "accuracy": top1 / examples, "top5_accuracy": top_k / examples}
            self._hooks.on_test_batch_end(step, means)
            self._leave_if_asked()
        self._hooks.on_test_end(means)
        return {f"val_{name}": value for name, value in means.items()}

    def _move_average(self) -> None:
        done = self._steps_done()
        if self.average is not self.model and (done % AVERAGE_STEPS == 0 or self.progress.step == self.steps):
            # The first steps count for less: their weights are hardly weights yet.
            decay = min(self.recipe.average_decay, (1 + done) / (10 + done)) ** AVERAGE_STEPS
            self._replicated.move_average(tf.constant(decay, "float32"))

    def _together(self, function: Callable[[Any, tf.Tensor], tf.Tensor], batch: Any) -> np.ndarray:
        """Runs a step on all replicas; answers its sums, and notes the signal that any of the workers got before it."""
        numbers = function(batch, tf.constant(self._interruption.requested or 0, "float32")).numpy()
        # Signals come during the step as well. Only what all workers know of can end the training, or one would wait
        # for another that has left; one that was not asked itself leaves as if by SIGTERM.
        requested = self._interruption.requested
        agreed = numbers[0] if has_other_workers(self.strategy) else requested
        self._signal = (requested or SIGTERM) if agreed else None
        return numbers[1:]

    def _leave_if_asked(self) -> None:
        number = self._signal
        if number is None:
            return
        self._save()
        self._replicated.wait_for_all()
        raise TrainingInterruptedError(
            number,
            f"Stopped by {number.name} after {self.progress.step} steps of epoch {self.progress.epoch + 1}; all is "
            f"saved, and the same command {'' if self._resumes else 'without --no-resume '}goes on from there",
        )

    def _save(self) -> None:
        self._replicated.agree_on_moments()
        if self.chief:
            self._checkpoints.save(self._steps_done(), dataclasses.asdict(self.progress))

    def _left_out(self) -> dict[str, str]:
        """The image files that cannot be used, and why."""
        return {**self.train_split.bad, **self.validation_split.bad}

    def _card(self) -> Card:
        recipe = self.recipe
        return Card(
            model=recipe.model,
            arguments=_optional_arguments(recipe),
            input_shape=(recipe.input_size, recipe.input_size, self.dataset.channels),
            labels=self.dataset.label_names,
            preprocessing=self.preprocessing,
            dataset=recipe.dataset,
            recipe=dataclasses.asdict(recipe),
            accuracy=self.progress.rows[-1]["val_accuracy"] if self.progress.rows else None,
            versions=package_versions(),
        )

    def _results(self) -> dict[str, Any]:
        rows = self.progress.rows
        return {
            "recipe": dataclasses.asdict(self.recipe),
            "dtype_reason": self.dtype_reason,
            "classes": self.dataset.classes,
            "labels": list(self.dataset.label_names),
            "parameters": self.model.count_params(),
            "replicas": self.strategy.num_replicas_in_sync,
            "bad_images": list(self._left_out()),
            "best_val_accuracy": max((row["val_accuracy"] for row in rows), default=None),
            **(rows[-1] if rows else {}),
            "versions": package_versions(),
        }


class _Replicated:
    """The steps of a training as TensorFlow functions that run on all replicas."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._strategy = training.strategy
        self._losses = head_losses(training.recipe, training.dataset.classes)
        model, average = training.model, training.average
        self._moments = [
            variable
            for network in {id(network): network for network in (model, average)}.values()
            for variable in network.non_trainable_weights
        ]
        # Steps of one size are all alike, and a layer may be faster for a size that is known.
        self.train = tf.function(self._train)
        self.evaluate = tf.function(self._evaluate, reduce_retracing=True)
        self.move_average = tf.function(self._move_average)
        self._mean_moments = tf.function(self._mean_of_moments)

    def batches(self, *, training: bool, epoch: int = 0, first_step: int = 0) -> Timed:
        """The batches of an epoch, one element for all replicas of this process."""

        def dataset(replicas: Sequence[int]) -> tf.data.Dataset:
            batches = self._training.batches(replicas, training=training)
            # Of an epoch cut short the rest is not prepared in vain.
            steps = self._training.steps if training else batches.steps
            return batches.epoch(epoch, first_step).take((steps - first_step) * len(replicas))

        return Timed(self._fetched(dataset) if has_accelerators() else self._distributed(dataset))

    def _fetched(self, dataset: Callable[[Sequence[int]], tf.data.Dataset]) -> tf.distribute.DistributedDataset:
        """A dataset's elements in the memory of the replicas' devices, each before it is asked for."""

        def of_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
            here = context.num_replicas_in_sync // context.num_input_pipelines
            first = context.input_pipeline_id * here
            # No more is taken than there is. Of endless data TensorFlow does not ask the other workers, at every step,
            # whether they still have some.
            endless = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
            return dataset(range(first, first + here)).apply(endless)

        return self._strategy.distribute_datasets_from_function(of_process)

    def _distributed(self, dataset: Callable[[Sequence[int]], tf.data.Dataset]) -> Iterator[Any]:
        """A dataset's elements where nothing is to be fetched: on CPUs.

        What fetches is a pipeline that tunes itself, and cannot be told not to; `pipeline_options` has what that costs.
        """
        elements: dict[int, Iterator[Any]] = {}

        def of_replica(context: tf.distribute.experimental.ValueContext) -> Any:
            replica = context.replica_id_in_sync_group
            if replica not in elements:
                elements[replica] = iter(dataset([replica]))
            return next(elements[replica])

        while True:
            yield self._strategy.experimental_distribute_values_from_function(of_replica)

    def _train(self, batch: Any, signal: tf.Tensor | float = 0.0) -> tf.Tensor:
        sums = self._strategy.run(self._train_replica, args=(batch, signal))
        return self._strategy.reduce("SUM", sums, axis=None)

    def _train_replica(self, batch: dict[str, tf.Tensor], signal: tf.Tensor) -> tf.Tensor:
        """One step on one replica: the signal, and the sums of loss, examples and right answers by head, float32."""
        training, recipe = self._training, self._training.recipe
        variables = training.model.trainable_variables
        replicas = self._strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = by_head(training.model(batch["image"], training=True))
            losses = self._losses(batch["label"], logits)
            loss_sum = tf.reduce_sum(batch["weight"] * sum(losses.values()))
            loss = loss_sum / batch["count"]
        gradients = tape.gradient(loss, variables)
        gradients = [
            gradient + recipe.weight_decay / replicas * variable if has_penalty(recipe, variable) else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]
        if recipe.gradient_clip:
            # The length is that of all replicas' gradients together; the optimizer sums them once more.
            gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
            gradients, _ = tf.clip_by_global_norm(gradients, recipe.gradient_clip)
            gradients = [gradient / replicas for gradient in gradients]
        training.optimizer.apply(gradients, variables)
        correct = [_correct(batch, answer, 1) for answer in logits.values()]
        return tf.stack([signal, loss_sum, tf.reduce_sum(batch["weight"]), *correct])

    def _evaluate(self, batch: Any, signal: tf.Tensor | float = 0.0) -> tf.Tensor:
        sums = self._strategy.run(self._evaluate_replica, args=(batch, signal))
        return self._strategy.reduce("SUM", sums, axis=None)

    def _evaluate_replica(self, batch: dict[str, tf.Tensor], signal: tf.Tensor) -> tf.Tensor:
        """The signal, and sums of loss, examples, right answers, and those among five, on one replica, float32."""
        logits = tf.cast(by_head(self._training.average(batch["image"], training=False))["predictions"], "float32")
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
        weight = batch["weight"]
        return tf.stack(
            [
                signal,
                tf.reduce_sum(weight * loss),
                tf.reduce_sum(weight),
                _correct(batch, logits, 1),
                _correct(batch, logits, min(TOP_K, logits.shape[-1])),
            ]
        )

    def _move_average(self, decay: tf.Tensor) -> None:
        pairs = zip(self._training.average.weights, self._training.model.weights, strict=True)
        for average, variable in pairs:
            average.assign(decay * average + (1 - decay) * variable)

    def wait_for_all(self) -> None:
        """Returns once all workers are here or gone: the others may still wait for what a worker that leaves sent."""
        with contextlib.suppress(*_WORKER_LOST):
            _all_have(self._strategy, 0)

    def agree_on_moments(self) -> None:
        """Gives all replicas the mean of their batch normalizations' moving moments, which each keeps for itself."""
        if self._strategy.num_replicas_in_sync > 1 and self._moments:
            for variable, mean in zip(self._moments, self._mean_moments(), strict=True):
                variable.assign(mean)

    def _mean_of_moments(self) -> list[tf.Tensor]:
        def own() -> list[tf.Tensor]:
            return [tf.identity(variable.value) for variable in self._moments]

        return [self._strategy.reduce("MEAN", moment, axis=None) for moment in self._strategy.run(own)]


class _Clock:
    """Seconds of wall clock, CPU and waiting, added to those of the processes before this one."""

    def __init__(self, before: dict[str, float]) -> None:
        self._before = dict(before)
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self, waited: float = 0.0) -> dict[str, float]:
        """The seconds so far; ``waited`` are those of the epoch that is not over."""
        return {
            "wall": self._before["wall"] + time.perf_counter() - self._wall,
            "cpu": self._before["cpu"] + time.process_time() - self._cpu,
            "wait": self._before["wait"] + waited,
        }

    def settle(self, waited: float) -> None:
        """Adds an epoch's waiting for good."""
        self._before["wait"] += waited


def _all_have(strategy: tf.distribute.Strategy, number: int) -> bool:
    """Whether all workers call this with the same number; it returns once all of them do."""
    numbers = strategy.run(lambda: tf.constant(number, "int64"))
    total = strategy.reduce("SUM", numbers, axis=None)
    return int(total) == number * strategy.num_replicas_in_sync


def _optional_arguments(recipe: Recipe) -> dict[str, Any]:
    """What the recipe gives of the arguments that not every factory has."""
    given = {"aux_heads": recipe.aux_heads or None, "dropout": recipe.dropout}
    return {name: value for name, value in given.items() if value is not None}


def _augmentation(recipe: Recipe) -> Augmentation:
    return Augmentation(**{field.name: getattr(recipe, field.name) for field in dataclasses.fields(Augmentation)})


def _correct(batch: dict[str, tf.Tensor], logits: tf.Tensor, k: int) -> tf.Tensor:
    """How many real examples have their label among the k highest logits, float32."""
    hits = tf.math.in_top_k(batch["label"], tf.cast(logits, "float32"), k)
    return tf.reduce_sum(batch["weight"] * tf.cast(hits, "float32"))


# Fields that change nothing of what is learned, and may differ from one run of a training to the next.
_CONVENIENCES = ("checkpoint_steps", "kept_checkpoints")


def _identity(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(recipe).items() if name not in _CONVENIENCES}
