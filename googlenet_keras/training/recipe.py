"""Defines a training: a recipe, all of whose fields are also flags of the command."""

import dataclasses
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
OPTIMIZERS = ("sgd", "adamw", "muon")
SCHEDULES = ("constant", "cosine", "staircase")
# The ranges of fields; None is in any of them.
_ABOVE_ZERO = (
    *("input_size", "early_input_size", "batch_size", "epochs", "steps_per_epoch", "unfreeze_after", "width"),
    *("learning_rate", "body_learning_rate", "layer_decay", "gradient_clip", "checkpoint_steps", "kept_checkpoints"),
)
_AT_LEAST_ZERO = ("seed", "mixup", "cutmix")
# Fields that change nothing of what is learned, and may differ from one run of a training to the next.
_CONVENIENCES = ("checkpoint_steps", "kept_checkpoints")
_SHARES = (
    *("early_share", "dropout", "label_smoothing", "flip", "erase", "rand_augment", "average_decay", "moments_decay"),
    "momentum",
)


def _field(default: Any, help: str) -> Any:
    """A field whose description the flag of its name shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a training. The fields' descriptions are in their metadata.

    Raises:
        ValueError: If a field is out of its range.
    """

    model: str = _field(
        "googlenet_bn", f"the network, by its name in list_models(), or {AUTO}: the network of the weights"
    )
    weights: str | None = _field(None, "start from these weights: a weight file or the name of published weights")
    dataset: str = _field("fashion_mnist", "a name of TensorFlow Datasets, or folder:PATH")
    train_split: str = _field(
        "train", "train on this split, in the notation of TensorFlow Datasets: train, train[:90%%], ..."
    )
    validation_split: str = _field("test", "measure each epoch on this split")
    input_size: int | None = _field(
        96, "height and width of the network's input, in pixels; none: those of the weights"
    )
    early_share: float = _field(0.0, "train on smaller, faster images for this share of the epochs, at the start")
    early_input_size: int = _field(
        48, "height and width of these images, in pixels, if that is less than the input size"
    )
    batch_size: int = _field(128, "number of examples in a step, over all replicas")
    epochs: int = _field(10, "number of passes over the training split")
    steps_per_epoch: int | None = _field(None, "number of steps in an epoch, in place of a whole pass over the split")
    seed: int = _field(0, "random seed of the initial weights, the order, the augmentation and dropout")
    dtype: str = _field(
        "auto", "Keras dtype policy, or auto: mixed_bfloat16 where the hardware computes it, float32 elsewhere"
    )

    dropout: float | None = _field(
        None, "fraction that dropout drops before the classifier, in place of the network's own"
    )
    normalization: str | None = _field(None, "normalization of a GoogLeNet, in place of its own: lrn, batch or none")
    width: float | None = _field(None, "multiply the filters of all convolutions of a VGG by this factor")
    aux_heads: bool = _field(False, "train with the auxiliary heads")
    aux_loss_weight: float = _field(0.3, "weight of each auxiliary head's loss; the classifier's loss has weight 1")
    moments_decay: float | None = _field(
        None,
        "decay per step of batch normalization's moving moments, in place of the network's own",
    )
    synchronized: bool = _field(False, "compute batch normalization's moments over all replicas together")

    freeze: str | None = _field(
        None,
        "do not train these layers: all-but-top; a stage, such as inception_4e, with all before it; or a pattern of "
        "layer names, such as 'conv*'. Their batch normalization keeps its moments",
    )
    unfreeze_after: int | None = _field(None, "train all layers after this number of epochs; none: never")

    optimizer: str = _field("sgd", f"one of {', '.join(OPTIMIZERS)}")
    learning_rate: float = _field(0.1, "highest learning rate of the schedule")
    momentum: float = _field(0.0, "momentum of sgd and muon")
    nesterov: bool = _field(False, "use Nesterov's momentum")
    schedule: str = _field("constant", f"schedule of the learning rate: one of {', '.join(SCHEDULES)}")
    warmup_epochs: float = _field(0.0, "number of epochs in which the learning rate rises linearly before the cosine")
    decay_rate: float = _field(0.96, "factor of the learning rate at each stair of staircase")
    decay_epochs: float = _field(8.0, "number of epochs between stairs")
    body_learning_rate: float = _field(1.0, "multiply the learning rate of all layers but the top's by this factor")
    layer_decay: float = _field(1.0, "multiply the learning rate by this factor from each stage to the one before it")
    weight_decay: float = _field(
        0.0,
        "L2 penalty on every kernel, but not on biases and normalization; adamw decouples it, and muon applies it to "
        "dense kernels only, since it fixes the norm of convolutions' kernels",
    )
    label_smoothing: float = _field(0.0, "spread this share of the target over all classes")
    gradient_clip: float | None = _field(None, "clip the gradient of all weights together to this norm")
    class_weights: tuple[float, ...] | None = _field(
        None, "weight of each class in the loss, in the order of the labels"
    )
    average_decay: float | None = _field(
        None, "decay per step of the moving average of the weights, which is then measured and kept"
    )

    flip: float = _field(0.0, "probability that an image is mirrored")
    shift: int = _field(0, "move small images by at most this number of pixels, up, down, left and right")
    erase: float = _field(0.0, "probability that a rectangle of a small image is erased")
    distort: bool = _field(False, "change brightness, contrast, saturation and hue of large images")
    rand_augment: float = _field(0.0, "strength, 0 to 1, of the two changes that RandAugment draws for each image")
    mixup: float = _field(
        0.0,
        "mix images and labels in pairs by shares from a Beta distribution with this parameter, 0: none; the "
        "accuracy on training images then counts the class of the larger share",
    )
    cutmix: float = _field(0.0, "the same, with rectangles of another image; with both, each image takes one of them")
    random_interpolation: bool = _field(False, "resize each large image by one of four methods at random")

    checkpoint_steps: int = _field(500, "number of steps between checkpoints; each epoch also ends with one")
    kept_checkpoints: int = _field(2, "number of checkpoints to keep")

    def __post_init__(self) -> None:
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0. Received: {value}")
        for name in _AT_LEAST_ZERO:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0. Received: {getattr(self, name)}")
        for name in _SHARES:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in 0 to 1. Received: {value}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}. Received: {getattr(self, name)!r}")
        if "float16" in self.dtype and "bfloat16" not in self.dtype:
            raise ValueError(f"float16 would need loss scaling; use mixed_bfloat16. Received: {self.dtype!r}")
        self._check_together()

    def _check_together(self) -> None:
        """Refuses fields that mean nothing with or without another."""
        if self.optimizer == "muon" and not self.momentum:
            raise ValueError(f"muon orthogonalizes the momentum, which must be above 0. Received: {self.momentum}")
        if self.model == AUTO and self.weights is None:
            raise ValueError(f"Say which network is trained, or give weights. Received: model={self.model!r} alone")
        if self.unfreeze_after is not None and self.freeze is None:
            raise ValueError(f"Nothing is frozen: give freeze as well. Received: unfreeze_after={self.unfreeze_after}")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError(f"A warm-up belongs to the schedule cosine. Received: {self.schedule!r}")

    def identity(self) -> dict[str, Any]:
        """All fields that affect the trained weights, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in _CONVENIENCES}

    def freezes_in(self, epoch: int) -> bool:
        """True if the layers that `freeze` names are frozen in an epoch, counted from 0."""
        return self.freeze is not None and (self.unfreeze_after is None or epoch < self.unfreeze_after)

    @property
    def full_size(self) -> int:
        """Height and width of the input in the end, in pixels, once that is settled."""
        if self.input_size is None:
            raise ValueError("The input size is the weights', and not settled yet. Received: input_size=None")
        return self.input_size

    def input_size_in(self, epoch: int) -> int:
        """Height and width of the input in an epoch, counted from 0, in pixels."""
        early = epoch < int(self.early_share * self.epochs)
        return min(self.early_input_size, self.full_size) if early else self.full_size


def recipe_names() -> list[str]:
    """The names that `load_recipe` knows."""
    from googlenet_keras.training.recipes import RECIPES

    return sorted(RECIPES)


def load_recipe(name: str, **changes: Any) -> Recipe:
    """A published recipe, or one made of it.

    Args:
        name: One of `recipe_names`.
        **changes: Fields to set otherwise. With ``weights`` and no ``model`` the network is that of the weights.

    Raises:
        ValueError: If there is no such recipe, or a field is out of its range.
    """
    from googlenet_keras.training.recipes import RECIPES

    if name not in RECIPES:
        raise ValueError(f"There is no such recipe; there are {', '.join(recipe_names())}. Received: {name!r}")
    if changes.get("weights") is not None:
        changes = {"model": AUTO, **changes}
    return dataclasses.replace(RECIPES[name], **changes)
