"""Defines recipes of trainings; each field of a recipe is also a flag of the command."""

import dataclasses
from dataclasses import dataclass
from typing import Any

AUTO = "auto"
OPTIMIZERS = ("sgd", "adamw", "muon")
SCHEDULES = ("constant", "cosine", "staircase")
# Fields by their range of values; each of these ranges also includes None.
_ABOVE_ZERO = (
    *("input_size", "early_input_size", "batch_size", "epochs", "steps_per_epoch", "unfreeze_after", "width"),
    *("learning_rate", "body_learning_rate", "layer_decay", "gradient_clip", "checkpoint_steps", "kept_checkpoints"),
)
_AT_LEAST_ZERO = ("seed", "mixup", "cutmix")
# Fields that do not affect the trained weights, and may therefore change when a training is resumed.
_CONVENIENCES = ("checkpoint_steps", "kept_checkpoints")
_SHARES = (
    *("early_share", "dropout", "label_smoothing", "flip", "erase", "rand_augment", "average_decay", "moments_decay"),
    "momentum",
)


def _field(default: Any, help: str) -> Any:
    """Returns a field of a recipe, with the description that the help of its flag shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings that determine the result of a training. The metadata of each field contains its description.

    Raises:
        ValueError: If a field is out of its range.
    """

    model: str = _field(
        "googlenet_bn", f"name of the network, as listed by list_models(), or {AUTO} for the network of the weights"
    )
    weights: str | None = _field(None, "start from these weights: a weight file or the name of published weights")
    dataset: str = _field("fashion_mnist", "name of a dataset of TensorFlow Datasets, or folder:PATH")
    train_split: str = _field(
        "train", "train on this split, in the notation of TensorFlow Datasets: train, train[:90%%], ..."
    )
    validation_split: str = _field("test", "evaluate the network on this split after each epoch")
    input_size: int | None = _field(
        96, "height and width of the network's input, in pixels; none takes them from the weights"
    )
    early_share: float = _field(0.0, "share of the epochs, at the start, that use smaller images to save time")
    early_input_size: int = _field(
        48, "height and width of the smaller images, in pixels; no effect if not less than the input size"
    )
    batch_size: int = _field(128, "number of examples in a step, over all replicas")
    epochs: int = _field(10, "number of passes over the training split")
    steps_per_epoch: int | None = _field(None, "number of steps in an epoch, instead of a whole pass over the split")
    seed: int = _field(0, "random seed of the initial weights, the order, the augmentation and dropout")
    dtype: str = _field(
        "auto", "Keras dtype policy, or auto: mixed_bfloat16 if the hardware supports bfloat16, or else float32"
    )

    dropout: float | None = _field(None, "dropout rate before the classifier, instead of the network's own")
    normalization: str | None = _field(None, "normalization of a GoogLeNet, instead of its own: lrn, batch or none")
    width: float | None = _field(None, "multiply the filters of all convolutions of a VGG by this factor")
    aux_heads: bool = _field(False, "train with the auxiliary heads")
    aux_loss_weight: float = _field(0.3, "weight of each auxiliary head's loss; the classifier's loss has weight 1")
    moments_decay: float | None = _field(
        None,
        "decay per step of batch normalization's moving moments, instead of the network's own",
    )
    synchronized: bool = _field(False, "compute batch normalization's moments over the examples of all replicas")

    freeze: str | None = _field(
        None,
        "do not train these layers: all-but-top; a stage, such as inception_4e, and all stages before it; or a pattern "
        "of layer names, such as 'conv*'. Frozen batch normalization also keeps its moments",
    )
    unfreeze_after: int | None = _field(None, "train all layers after this number of epochs; none means never")

    optimizer: str = _field("sgd", f"one of {', '.join(OPTIMIZERS)}")
    learning_rate: float = _field(0.1, "highest learning rate of the schedule")
    momentum: float = _field(0.0, "momentum of sgd and muon")
    nesterov: bool = _field(False, "use Nesterov's momentum")
    schedule: str = _field("constant", f"schedule of the learning rate: one of {', '.join(SCHEDULES)}")
    warmup_epochs: float = _field(0.0, "number of epochs in which the learning rate rises linearly before the cosine")
    decay_rate: float = _field(0.96, "factor of the learning rate at each step of the schedule staircase")
    decay_epochs: float = _field(8.0, "number of epochs between two steps of the staircase")
    body_learning_rate: float = _field(1.0, "factor of the learning rate of all layers before the top")
    layer_decay: float = _field(1.0, "factor of the learning rate from each stage to the stage before it")
    weight_decay: float = _field(
        0.0,
        "L2 penalty on every kernel, but not on biases and normalization; adamw decouples it, and muon applies it to "
        "dense kernels only, because it fixes the norm of convolution kernels",
    )
    label_smoothing: float = _field(0.0, "share of the target that is spread over all classes")
    gradient_clip: float | None = _field(
        None, "largest norm of the gradient of all weights together; a larger gradient is clipped"
    )
    class_weights: tuple[float, ...] | None = _field(
        None, "weights of the classes in the loss, in the order of the labels"
    )
    average_decay: float | None = _field(
        None, "decay per step of a moving average of the weights, which is then evaluated and saved in their place"
    )

    flip: float = _field(0.0, "probability that an image is mirrored")
    shift: int = _field(0, "move small images by at most this number of pixels, up, down, left and right")
    erase: float = _field(0.0, "probability that a rectangle of a small image is erased")
    distort: bool = _field(False, "change brightness, contrast, saturation and hue of large images")
    rand_augment: float = _field(
        0.0, "strength, from 0 to 1, of the two changes that RandAugment draws for each image; 0 disables it"
    )
    mixup: float = _field(
        0.0,
        "mix images and labels in pairs, with shares from a Beta distribution with this parameter; 0 disables it. The "
        "training accuracy then counts the class with the larger share",
    )
    cutmix: float = _field(
        0.0,
        "replace a rectangle of each image with that of another image, whose share of the area comes from a Beta "
        "distribution with this parameter; 0 disables it. With mixup as well, one of the two is drawn for each image",
    )
    random_interpolation: bool = _field(False, "resize each large image with one of four methods, chosen at random")

    checkpoint_steps: int = _field(
        500, "number of steps between checkpoints; a checkpoint is also written at the end of each epoch"
    )
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
                raise ValueError(f"{name} must be between 0 and 1. Received: {value}")
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}. Received: {getattr(self, name)!r}")
        if "float16" in self.dtype and "bfloat16" not in self.dtype:
            raise ValueError(
                f"float16 needs loss scaling, which is not supported; use mixed_bfloat16. Received: {self.dtype!r}"
            )
        self._check_together()

    def _check_together(self) -> None:
        """Raises an error for combinations of fields that make no sense."""
        if self.optimizer == "muon" and not self.momentum:
            raise ValueError(
                f"muon orthogonalizes the momentum, which must therefore be above 0. Received: {self.momentum}"
            )
        if self.model == AUTO and self.weights is None:
            raise ValueError(
                f"The network is unknown: give model or weights. Received: model={self.model!r} without weights"
            )
        if self.unfreeze_after is not None and self.freeze is None:
            raise ValueError(f"Nothing is frozen: give freeze as well. Received: unfreeze_after={self.unfreeze_after}")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError(f"Only the schedule cosine has a warm-up. Received: {self.schedule!r}")

    def identity(self) -> dict[str, Any]:
        """Returns all fields that affect the trained weights, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in _CONVENIENCES}

    def freezes_in(self, epoch: int) -> bool:
        """Returns True if the layers that `freeze` names are frozen in an epoch; epochs are counted from 0."""
        return self.freeze is not None and (self.unfreeze_after is None or epoch < self.unfreeze_after)

    @property
    def full_size(self) -> int:
        """Height and width of the input at the end of the training, in pixels.

        Raises:
            ValueError: If `input_size` is None, because it has not yet been taken from the weights.
        """
        if self.input_size is None:
            raise ValueError("The input size has not yet been taken from the weights. Received: input_size=None")
        return self.input_size

    def input_size_in(self, epoch: int) -> int:
        """Returns the height and width of the input in an epoch, in pixels; epochs are counted from 0."""
        early = epoch < int(self.early_share * self.epochs)
        return min(self.early_input_size, self.full_size) if early else self.full_size


def recipe_names() -> list[str]:
    """Returns the names of all recipes that `load_recipe` can load, in alphabetical order."""
    from googlenet_keras.training.recipes import RECIPES

    return sorted(RECIPES)


def load_recipe(name: str, **changes: Any) -> Recipe:
    """Returns one of the package's recipes, with changed fields if any are given.

    Args:
        name: One of `recipe_names`.
        **changes: New values of fields. If ``weights`` are given without ``model``, the network is that of the weights.

    Raises:
        ValueError: If there is no such recipe, or a field is out of its range.
    """
    from googlenet_keras.training.recipes import RECIPES

    if name not in RECIPES:
        raise ValueError(f"There is no such recipe; choose one of {', '.join(recipe_names())}. Received: {name!r}")
    if changes.get("weights") is not None:
        changes = {"model": AUTO, **changes}
    return dataclasses.replace(RECIPES[name], **changes)
