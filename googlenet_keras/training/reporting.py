"""What a training says while it runs: a progress bar, a line for each epoch, and what looks wrong."""

import importlib.util
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from googlenet_keras.training.objective import by_head
from googlenet_keras.training.recipe import Recipe

STALLED_WITHIN = 0.02  # of the guess's loss


def default_callbacks(recipe: Recipe, output: Path) -> list[keras.callbacks.Callback]:
    """What the command listens with: the reporter, the stall warning, and TensorBoard where it is installed.

    Args:
        recipe: What is trained.
        output: The training's folder; TensorBoard's events go to ``tensorboard/`` in it.
    """
    reporter = Reporter(recipe.epochs, recipe.batch_size)
    callbacks: list[keras.callbacks.Callback] = [reporter, StallWarning(recipe.aux_loss_weight, reporter.say)]
    if importlib.util.find_spec("tensorboard"):
        callbacks.append(keras.callbacks.TensorBoard(output / "tensorboard", write_graph=False))
    return callbacks


class Reporter(keras.callbacks.Callback):
    """A progress bar on a terminal, and a line for each epoch there and in a log.

    Args:
        epochs: How many there will be.
        batch_size: Examples in a step.
    """

    def __init__(self, epochs: int, batch_size: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._batch_size = batch_size
        self._console = Console(soft_wrap=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    def say(self, message: str) -> None:
        """Prints a line above the bar."""
        self._console.print(message, highlight=False)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Draws the bar."""
        begun_at = self.params.get("begun_at", 0)
        if begun_at:
            self._console.print(f"Resumed after {begun_at} steps")
        total = self._epochs * self.params["steps"]
        self._task = self._bar.add_task("", total=total, completed=begun_at, epoch="", figures="")
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Names the epoch on the bar."""
        self._bar.update(self._task, epoch=f"{epoch + 1}/{self._epochs}")
        self._steps, self._start = 0, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Moves the bar on."""
        self._steps += 1
        rate = self._steps * self._batch_size / (time.perf_counter() - self._start)
        self._bar.update(self._task, advance=1, figures=f"{_figures(logs or {})}  {rate:.0f} examples/s")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Prints the epoch's line."""
        logs = logs or {}
        self._console.print(
            f"epoch {epoch + 1}/{self._epochs}  {_figures(logs)}  {logs['examples_per_second']:.0f} examples/s  "
            f"waited {logs['wait_per_step'] * 1000:.1f} ms a step  {logs['seconds']:.0f} s",
            highlight=False,
        )

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away, however the training ended."""
        self._bar.stop()


class StallWarning(keras.callbacks.Callback):
    """Says when the loss stays where guessing leaves it: at ``ln(classes)``, times the sum of the heads' weights.

    Args:
        aux_loss_weight: Of each auxiliary head's loss.
        say: Takes the message.
        patience: Over so many steps the loss is averaged.
    """

    def __init__(self, aux_loss_weight: float, say: Callable[[str], None], patience: int = 300) -> None:
        super().__init__()
        self._aux_loss_weight = aux_loss_weight
        self._say = say
        self._patience = patience

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Computes the loss of a guess."""
        answer, *heads = by_head(self.model.output).values()
        self._guessing = math.log(answer.shape[-1]) * (1 + self._aux_loss_weight * len(heads))

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Starts to average anew."""
        self._steps, self._sum_before = 0, 0.0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Looks at the loss of the last steps."""
        self._steps += 1
        if self._steps % self._patience:
            return
        loss_sum = logs["loss"] * (batch + 1)
        loss = (loss_sum - self._sum_before) / self._patience
        if self._steps > self._patience and abs(loss / self._guessing - 1) < STALLED_WITHIN:
            self._say(
                f"Stalled: over {self._patience} steps the loss is {loss:.3f}, where guessing leaves it "
                f"({self._guessing:.3f}). What usually helps: a lower or higher learning rate, a warm-up, a network "
                "with batch normalization, another seed"
            )
        self._sum_before = loss_sum


def _figures(logs: Mapping[str, float]) -> str:
    """Losses and accuracies, four digits each."""
    shown = {name: value for name, value in logs.items() if name.endswith(("loss", "accuracy")) and "top5" not in name}
    return "  ".join(f"{name} {value:.4f}" for name, value in shown.items())
