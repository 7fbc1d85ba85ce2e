"""Creates the losses, the learning-rate schedule and the optimizer of a recipe."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.training.muon import Muon
from googlenet_keras.training.rates import AdamWByVariable, MuonByVariable, SGDByVariable
from googlenet_keras.training.recipe import Recipe


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The recipe's learning rate, as Keras's optimizers take it.

    Args:
        recipe: The recipe.
        steps_per_epoch: Steps of an epoch.
    """
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup_epochs * steps_per_epoch)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else recipe.learning_rate,
            decay_steps=max(1, recipe.epochs * steps_per_epoch - warmup),
            warmup_target=recipe.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if recipe.schedule == "staircase":
        return keras.optimizers.schedules.ExponentialDecay(
            recipe.learning_rate,
            decay_steps=round(recipe.decay_epochs * steps_per_epoch),
            decay_rate=recipe.decay_rate,
            staircase=True,
        )
    return recipe.learning_rate


def create_optimizer(
    recipe: Recipe,
    model: keras.Model,
    steps_per_epoch: int,
    *,
    factors: Sequence[float] = (),
    frozen: Collection[keras.layers.Layer] = (),
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, built for all of a model's weights; to be called in the strategy's scope.

    Args:
        recipe: The recipe.
        model: The model to train, with nothing frozen yet.
        steps_per_epoch: Steps of an epoch.
        factors: The factors of the learning rate of the model's ``trainable_variables``; an empty list means ones.
        frozen: The layers that are frozen at first.

    Raises:
        ValueError: If Muon is to train a convolution that no batch normalization follows.
    """
    variables = model.trainable_variables
    options: dict[str, Any] = {
        "learning_rate": learning_rate(recipe, steps_per_epoch),
        "factors": factors or [1.0] * len(variables),
    }
    optimizer: keras.optimizers.Optimizer
    if recipe.optimizer == "adamw":
        late = {id(variable) for layer in frozen for variable in layer.trainable_variables}
        join = (recipe.unfreeze_after or 0) * steps_per_epoch
        optimizer = AdamWByVariable(
            decays=[recipe.weight_decay if is_decayed(variable) else 0.0 for variable in variables],
            joins=[join if id(variable) in late else 0 for variable in variables],
            **options,
        )
    elif recipe.optimizer == "muon":
        biased = [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D) and layer.use_bias]
        if biased:
            raise ValueError(
                "muon sets the norm of every convolution's kernel, which only batch normalization behind it makes up "
                f"for; take sgd or adamw. Received: {recipe.model}, with {biased[0]}"
            )
        compute_dtype = keras.DTypePolicy(recipe.dtype).compute_dtype
        optimizer = MuonByVariable(
            momentum=recipe.momentum, nesterov=recipe.nesterov, compute_dtype=compute_dtype, **options
        )
    else:
        optimizer = SGDByVariable(momentum=recipe.momentum, nesterov=recipe.nesterov, **options)
    optimizer.build(variables)
    return optimizer


def is_decayed(variable: keras.Variable) -> bool:
    """True if weight decay applies to this variable: a kernel, and neither a bias nor part of a normalization."""
    return len(variable.shape) > 1


def has_penalty(recipe: Recipe, variable: keras.Variable) -> bool:
    """True if the gradient of the L2 penalty is added to this variable's gradient.

    AdamW decays by itself, and Muon sets the norm of what it orthogonalizes.
    """
    if recipe.optimizer == "adamw" or (recipe.optimizer == "muon" and Muon.orthogonalizes(variable)):
        return False
    return recipe.weight_decay > 0 and is_decayed(variable)


def head_losses(recipe: Recipe, classes: int) -> Callable[[tf.Tensor, Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """The function from targets and each head's logits to each head's loss of every example.

    Args:
        recipe: Its label smoothing, class weights and weight of the auxiliary heads' losses.
        classes: Number of classes.

    Returns:
        A function of labels, int32 (batch,), or the share of each class, float32 (batch, classes), and logits by head,
        float32 (batch, classes), to float32 (batch,) by head.

    Raises:
        ValueError: If there are not as many class weights as classes.
    """
    if recipe.class_weights is not None and len(recipe.class_weights) != classes:
        raise ValueError(f"class_weights must be {classes} numbers. Received: {len(recipe.class_weights)}")
    cross_entropy = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing, reduction="none"
    )

    def losses(labels: tf.Tensor, logits: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        targets = tf.one_hot(labels, classes) if labels.dtype == tf.int32 else labels
        weight = 1.0 if recipe.class_weights is None else tf.linalg.matvec(targets, tf.constant(recipe.class_weights))
        return {
            head: weight
            * (1.0 if head == "predictions" else recipe.aux_loss_weight)
            * cross_entropy(targets, tf.cast(answer, "float32"))
            for head, answer in logits.items()
        }

    return losses


def by_head(outputs: Any) -> dict[str, Any]:
    """A model's outputs by name, whether it has auxiliary heads or not."""
    return dict(outputs) if isinstance(outputs, Mapping) else {"predictions": outputs}
