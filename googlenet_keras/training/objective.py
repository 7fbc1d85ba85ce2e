"""Creates the losses, the learning-rate schedule and the optimizer of a recipe."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from googlenet_keras.training.muon import Muon
from googlenet_keras.training.rates import AdamWByVariable, MuonByVariable, SGDByVariable
from googlenet_keras.training.recipe import Recipe


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Returns the recipe's learning rate, as a number or a schedule for Keras's optimizers.

    Args:
        recipe: The recipe.
        steps_per_epoch: The number of steps in an epoch.
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
    """Creates the recipe's optimizer, built for all trainable weights of a model; call it in the strategy's scope.

    Args:
        recipe: The recipe.
        model: The model to train, before any layers are frozen.
        steps_per_epoch: The number of steps in an epoch.
        factors: The factors of the learning rate, one for each of the model's ``trainable_variables``; an empty
            sequence means that all factors are 1.
        frozen: The layers that are frozen at first.

    Raises:
        ValueError: If the optimizer is Muon and a convolution of the model has a bias, which means that no batch
            normalization follows it.
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
                "muon sets the norm of every convolution kernel, so batch normalization must follow every convolution; "
                f"use sgd or adamw. Received: {recipe.model}, in which no batch normalization follows {biased[0]}"
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
    """Returns True if weight decay applies to a variable: if it is a kernel, not a bias or part of a normalization."""
    return len(variable.shape) > 1


def has_penalty(recipe: Recipe, variable: keras.Variable) -> bool:
    """Returns True if the gradient of the L2 penalty is added to a variable's gradient.

    AdamW applies the weight decay itself, and Muon sets the norm of the kernels that it orthogonalizes.
    """
    if recipe.optimizer == "adamw" or (recipe.optimizer == "muon" and Muon.orthogonalizes(variable)):
        return False
    return recipe.weight_decay > 0 and is_decayed(variable)


def head_losses(recipe: Recipe, classes: int) -> Callable[[tf.Tensor, Mapping[str, tf.Tensor]], dict[str, tf.Tensor]]:
    """Returns a function that computes each head's loss for every example.

    Args:
        recipe: The recipe, with its label smoothing, its class weights and the weight of the auxiliary heads' losses.
        classes: The number of classes.

    Returns:
        A function with two arguments: the targets, which are labels, int32 (batch,), or the share of each class,
        float32 (batch, classes); and a dict of logits by head, float32 (batch, classes). It returns a dict of losses by
        head, float32 (batch,).

    Raises:
        ValueError: If the number of class weights is not the number of classes.
    """
    if recipe.class_weights is not None and len(recipe.class_weights) != classes:
        raise ValueError(f"class_weights must be {classes} numbers. Received: {len(recipe.class_weights)} numbers")
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
    """Returns a model's outputs by the names of their heads, whether or not it has auxiliary heads."""
    return dict(outputs) if isinstance(outputs, Mapping) else {"predictions": outputs}
