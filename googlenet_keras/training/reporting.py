"""Reports the progress of a training: a bar or lines during each epoch, a line after each epoch, and warnings."""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from googlenet_keras.progress import LONGEST_SILENCE, Heartbeat, shows_bars
from googlenet_keras.training.objective import by_head
from googlenet_keras.training.recipe import Recipe

STALLED_WITHIN = 0.02  # relative to the loss at chance level
TRACING = "tracing the first step, which can take minutes"


def default_callbacks(recipe: Recipe, output: Path) -> list[keras.callbacks.Callback]:
    """Returns the callbacks of the command: the reporter, the stall warning, and TensorBoard if it is installed.

    Args:
        recipe: The recipe of the training.
        output: The folder of the training; TensorBoard's events are written to ``tensorboard/`` in it.
    """
    reporter = Reporter(recipe.epochs, recipe.batch_size)
    callbacks: list[keras.callbacks.Callback] = [reporter, StallWarning(recipe.aux_loss_weight, reporter.say)]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(output / "tensorboard", write_graph=False))
    return callbacks


class Reporter(keras.callbacks.Callback):
    """Prints a line after each epoch and shows the progress in between.

    On a terminal the progress is a bar. Otherwise it is a line at least every 30 seconds, printed by a thread, so that
    lines also appear during a long step; `close` stops the thread.

    Args:
        epochs: The number of epochs.
        batch_size: The number of examples in a step.
        silence: The number of seconds without a line after which the thread prints one, if there is no terminal.
    """

    def __init__(self, epochs: int, batch_size: int, *, silence: float = LONGEST_SILENCE) -> None:
        super().__init__()
        self._epochs = epochs
        self._batch_size = batch_size
        self._console = Console(soft_wrap=True)
        self._has_bar = shows_bars(self._console)
        self._heartbeat = Heartbeat(self._describe, self._print, silence=silence)
        self._traced = False
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._has_bar,
        )

    def say(self, message: str) -> None:
        """Prints a line above the bar."""
        self._heartbeat.postpone()
        self._print(message)

    def _print(self, message: str) -> None:
        self._console.print(message, highlight=False, markup=False)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Shows the bar, or starts the thread that prints lines."""
        begun_at = self.params.get("begun_at", 0)
        if begun_at:
            self.say(f"Resumed after {begun_at} steps")
        self._epoch = min(begun_at // self.params["steps"], self._epochs - 1)
        self._begin("step", begun_at % self.params["steps"], self.params["steps"])
        if not self._has_bar:
            self._heartbeat.start()
        total = self._epochs * self.params["steps"]
        self._task = self._bar.add_task("", total=total, completed=begun_at, epoch="", figures="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Shows the number of the epoch on the bar."""
        self._epoch = epoch
        self._bar.update(self._task, epoch=f"{epoch + 1}/{self._epochs}")
        self._steps, self._start = 0, time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Explains before the very first step why it takes long."""
        if self._steps == 0:
            self._begin("step", batch, self.params["steps"])
        if not self._traced:
            self._bar.update(self._task, figures=TRACING)
            if not self._has_bar:
                self.say(f"{self._place()}: {TRACING}")

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Counts the step, and advances the bar."""
        self._steps += 1
        self._done(batch + 1, logs or {})
        if not self._traced:
            self._traced = True
            # The first step does not count towards the rate, because it includes the time for tracing.
            self._begin("step", batch + 1, self.params["steps"])
        rate = self._steps * self._batch_size / (time.perf_counter() - self._start)
        self._bar.update(self._task, advance=1, figures=f"{_figures(logs or {})}  {rate:.0f} examples/s")

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Starts to count the steps of the evaluation."""
        self._begin("evaluation step", 0, self.params["validation_steps"])

    def on_test_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Counts a step of the evaluation, and shows the number on the bar."""
        self._done(batch + 1, logs or {})
        self._bar.update(self._task, figures=f"{self._what} {batch + 1}/{self._of}")

    def _begin(self, what: str, done: int, of: int) -> None:
        """Starts to count steps of a kind, of which some may be completed already."""
        self._what, self._of, self._step = what, of, done
        self._logs: Mapping[str, float] = {}
        self._step_began = time.perf_counter()
        self._marked = done, self._step_began

    def _done(self, step: int, logs: Mapping[str, float]) -> None:
        """Records that a step is completed."""
        self._step, self._logs, self._step_began = step, logs, time.perf_counter()

    def _place(self) -> str:
        return f"epoch {self._epoch + 1}/{self._epochs}"

    def _describe(self) -> str:
        """Returns a line with the last step and the rate since the last line, or with the step that is running."""
        now, step = time.perf_counter(), self._step
        since, marked_at = self._marked
        if step > since:
            rate = (step - since) * self._batch_size / (now - marked_at)
            self._marked = step, now
            return f"{self._place()}  {self._what} {step}/{self._of}  {_figures(self._logs)}  {rate:.0f} examples/s"
        lasting = f"{now - self._step_began:.0f} s so far"
        if step == self._of:
            return f"{self._place()}  all {self._of} {self._what}s are done; subsequent work has taken {lasting}"
        return f"{self._place()}  {self._what} {step + 1}/{self._of} has taken {lasting}"

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Prints the line of the epoch."""
        logs = logs or {}
        self.say(
            f"{self._place()}  {_figures(logs)}  {logs['examples_per_second']:.0f} examples/s  "
            f"waited {logs['wait_per_step'] * 1000:.1f} ms per step  {logs['seconds']:.0f} s"
        )

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Removes the bar, or stops the thread."""
        self.close()

    def close(self) -> None:
        """Removes the bar, or stops the thread; call it after a training that ended with an error as well."""
        self._heartbeat.stop()
        self._bar.stop()


class StallWarning(keras.callbacks.Callback):
    """Warns if the loss is stuck at chance level, which is ``ln(classes)`` times the sum of the heads' weights.

    Args:
        aux_loss_weight: The weight of each auxiliary head's loss.
        say: A function that receives the warning.
        patience: The number of steps over which the loss is averaged.
    """

    def __init__(self, aux_loss_weight: float, say: Callable[[str], None], patience: int = 300) -> None:
        super().__init__()
        self._aux_loss_weight = aux_loss_weight
        self._say = say
        self._patience = patience

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Computes the loss at chance level."""
        answer, *heads = by_head(self.model.output).values()
        self._guessing = math.log(answer.shape[-1]) * (1 + self._aux_loss_weight * len(heads))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Resets the average."""
        self._steps, self._sum_before = 0, 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Compares the average loss of the last steps with chance level."""
        self._steps += 1
        if logs is None or self._steps % self._patience:
            return
        loss_sum = logs["loss"] * (batch + 1)
        loss = (loss_sum - self._sum_before) / self._patience
        if self._steps > self._patience and abs(loss / self._guessing - 1) < STALLED_WITHIN:
            self._say(
                f"Stalled: the mean loss of the last {self._patience} steps is {loss:.3f}, which is chance level "
                f"({self._guessing:.3f}). A lower or higher learning rate, a warm-up, a network with batch "
                "normalization or another seed usually helps"
            )
        self._sum_before = loss_sum


def _figures(logs: Mapping[str, float]) -> str:
    """Returns the losses and accuracies as text, with four decimal places each."""
    shown = {name: value for name, value in logs.items() if name.endswith(("loss", "accuracy")) and "top5" not in name}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
