"""Computes the steps of training and evaluation on each replica, and sums their results over all replicas."""

from collections.abc import Callable

import keras
import tensorflow as tf

from googlenet_keras.training.objective import by_head, has_penalty, head_losses
from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.state import State

TOP_K = 5
# A replica's part of a batch: "image", float32 (examples, height, width, channels); "label", int32 (examples,);
# "weight", float32 (examples,), which is 0 for padding and 1 for real examples; and "count", float32, the number of
# real examples on all replicas. If images are mixed, it also contains "target", float32 (examples, classes), the share
# of each class; "label" is then the class with the largest share, and is used for the accuracy only.
Batch = dict[str, tf.Tensor]


class Steps:
    """The steps of a training as TensorFlow functions that run on all replicas.

    Args:
        recipe: The recipe of the training.
        state: The state that the steps change.
        classes: The number of classes.
        strategy: The strategy on whose replicas the steps run.

    Attributes:
        evaluate: A function that evaluates `State.average` on a batch. It takes the arguments of `train`, and returns
            the float32 sums of the number, the cross-entropy, the examples, the correct predictions, and the examples
            whose label is among the five highest logits.
        move_average: A function that moves the weights of `State.average` towards those of `State.model`. It takes the
            float32 decay, which is the share of the average that is kept.
    """

    def __init__(self, recipe: Recipe, state: State, classes: int, strategy: tf.distribute.Strategy) -> None:
        self._recipe, self._state, self._strategy = recipe, state, strategy
        self._losses = head_losses(recipe, classes)
        # Training steps are traced for each input size, because there are few, and layers may be faster if the size is
        # known. There are two functions because tracing records whether a layer is trainable.
        self._train_steps = {frozen: tf.function(self._summed(self._train)) for frozen in (False, True)}
        self.evaluate = tf.function(self._summed(self._evaluate), reduce_retracing=True)
        self.move_average = tf.function(self._move_average)
        self._mean_moments = {frozen: tf.function(self._mean_of_moments) for frozen in (False, True)}

    def train(self, batch: Batch, number: tf.Tensor | float = 0.0) -> tf.Tensor:
        """Runs a step of training.

        Args:
            batch: The examples of the step.
            number: Any float32 number of this worker, which is summed along with the results.

        Returns:
            A float32 tensor of sums over the replicas: of the number, the loss, the examples, and the correct
            predictions of each head.
        """
        return self._train_steps[self._state.frozen](batch, number)

    def _summed(self, on_replica: Callable[[Batch], tf.Tensor]) -> Callable[[Batch, tf.Tensor | float], tf.Tensor]:
        """Turns a step on one replica into a step on all replicas, which also sums a number of each worker."""

        def with_number(batch: Batch, number: tf.Tensor) -> tf.Tensor:
            return tf.concat([[number], on_replica(batch)], axis=0)

        def step(batch: Batch, number: tf.Tensor | float = 0.0) -> tf.Tensor:
            return self._strategy.reduce("SUM", self._strategy.run(with_number, args=(batch, number)), axis=None)

        return step

    def _train(self, batch: Batch) -> tf.Tensor:
        model = self._state.model
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            logits = by_head(model(batch["image"], training=True))
            losses = self._losses(batch.get("target", batch["label"]), logits)
            loss_sum = tf.reduce_sum(batch["weight"] * sum(losses.values()))
            loss = loss_sum / batch["count"]
        gradients = self._penalized(tape.gradient(loss, variables), variables)
        if self._recipe.gradient_clip:
            gradients = self._clipped(gradients)
        self._state.optimizer.apply(gradients, variables)
        correct = [count_correct(batch, answer, 1) for answer in logits.values()]
        return tf.stack([loss_sum, tf.reduce_sum(batch["weight"]), *correct])

    def _penalized(self, gradients: list[tf.Tensor], variables: list[tf.Variable]) -> list[tf.Tensor]:
        """Adds a replica's share of the gradient of the L2 penalty to the gradients."""
        decay = self._recipe.weight_decay / self._strategy.num_replicas_in_sync
        return [
            gradient + decay * variable if has_penalty(self._recipe, variable) else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _clipped(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Clips the gradients so that the global norm of their sum over all replicas is within the recipe's limit."""
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        gradients, _ = tf.clip_by_global_norm(gradients, self._recipe.gradient_clip)
        # The optimizer will sum the gradients over the replicas once more.
        return [gradient / self._strategy.num_replicas_in_sync for gradient in gradients]

    def _evaluate(self, batch: Batch) -> tf.Tensor:
        logits = tf.cast(by_head(self._state.average(batch["image"], training=False))["predictions"], "float32")
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
        weight = batch["weight"]
        return tf.stack(
            [
                tf.reduce_sum(weight * loss),
                tf.reduce_sum(weight),
                count_correct(batch, logits, 1),
                count_correct(batch, logits, min(TOP_K, logits.shape[-1])),
            ]
        )

    def _move_average(self, decay: tf.Tensor) -> None:
        for average, variable in zip(self._state.average.weights, self._state.model.weights, strict=True):
            # Written this way, the update leaves frozen weights exactly unchanged, without rounding errors.
            average.assign(average + keras.ops.multiply(1 - decay, variable - average))

    def agree_on_moments(self) -> None:
        """Sets the moving moments of batch normalization, which each replica updates for itself, to their mean."""
        moments = self._moments()
        if self._strategy.num_replicas_in_sync > 1 and moments:
            for variable, mean in zip(moments, self._mean_moments[self._state.frozen](), strict=True):
                variable.assign(mean)

    def _moments(self) -> list[keras.Variable]:
        """Returns the moving moments that training currently changes."""
        state = self._state
        networks = [state.model, state.average] if state.has_average else [state.model]
        frozen = {layer.name for layer in state.freezable} if state.frozen else set()
        return [
            variable
            for network in networks
            for layer in network.layers
            if layer.name not in frozen
            for variable in layer.non_trainable_weights
        ]

    def _mean_of_moments(self) -> list[tf.Tensor]:
        def own() -> list[tf.Tensor]:
            return [tf.identity(variable.value) for variable in self._moments()]

        return [self._strategy.reduce("MEAN", moment, axis=None) for moment in self._strategy.run(own)]


def count_correct(batch: Batch, logits: tf.Tensor, k: int) -> tf.Tensor:
    """Counts the real examples whose label is among the k highest logits.

    Of equal logits, that of the first class counts as the higher one, as in `googlenet_keras.evaluation`.
    ``tf.math.in_top_k`` would count all of them, and so a network whose logits are all zero would always be right.

    Args:
        batch: Holds ``label``, int (part,), and ``weight``, float32 (part,), which is 0 for examples that only fill up
            the batch.
        logits: (part, classes), of any float dtype.
        k: The number of highest logits to consider.

    Returns:
        The number of examples, a float32 scalar.
    """
    highest = tf.math.top_k(tf.cast(logits, "float32"), k).indices
    hits = tf.reduce_any(highest == tf.cast(batch["label"], highest.dtype)[:, tf.newaxis], axis=1)
    return tf.reduce_sum(batch["weight"] * tf.cast(hits, "float32"))
