"""Represents a model as papers draw it: boxes of a layer and the layers folded into it, and modules of boxes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import layers

from googlenet_keras.describe.cost import layer_multiply_adds
from googlenet_keras.describe.graph import calls

# Layers that are folded into the box of the layer before them, because they do not change the size of a feature map, or
# change only its border or shape.
_INVISIBLE = (layers.ZeroPadding2D, layers.Flatten)
_PARTS = (layers.BatchNormalization, layers.ReLU, layers.Activation, layers.Softmax, layers.Dropout, layers.Rescaling)


@dataclass
class Box:
    """A layer together with the layers that are folded into it, such as its batch normalization and activation.

    Attributes:
        name: The name of the first layer.
        kind: The kind of the box, which sets its colour: ``"convolution + BN + ReLU"``, ``"pooling"``, ``"dense"``, ...
        lines: The lines of text in the box, above those of ``parts``.
        shape: The shape of the output, without the batch dimension.
        parents: The names of the boxes that feed this box.
        called: The layers in the box.
        parts: The texts of the folded layers: ``"ReLU"``, ``"dropout 0.4"``, ...
    """

    name: str
    kind: str
    lines: list[str]
    shape: tuple[int | None, ...]
    parents: list[str]
    called: list[Any]
    parts: list[str] = field(default_factory=list)

    @property
    def layers(self) -> list[str]:
        """The names of the layers in the box."""
        return [layer.name for layer in self.called]

    @property
    def parameters(self) -> int:
        """The number of all parameters of the layers in the box."""
        return sum(layer.count_params() for layer in self.called if isinstance(layer, layers.Layer))

    @property
    def multiply_adds(self) -> int | None:
        """The number of multiply-adds for one image; None if the size of the input is unknown."""
        try:
            return sum(layer_multiply_adds(layer) for layer in self.called if isinstance(layer, layers.Layer))
        except ValueError:
            return None

    @property
    def tooltip(self) -> str:
        """The text that does not fit into the box: name, output size, parameters and multiply-adds."""
        lines = [self.name, f"output {size_text(self.shape)}"]
        if self.parameters:
            lines.append(f"{self.parameters:,} parameters")
        if self.multiply_adds:
            lines.append(f"{self.multiply_adds:,} multiply-adds")
        return "\n".join(lines)

    @property
    def label(self) -> str:
        """The text in the box."""
        # The colour of a convolution already shows its batch normalization and ReLU.
        told = self.kind.startswith("convolution")
        notes = [part for part in self.parts if not (told and part in self.kind.split(" + "))]
        return "\n".join([*self.lines, *notes])


@dataclass
class Group:
    """A module, or a single box.

    Attributes:
        name: The name of the layer that joins the module's branches, or of the single box.
        boxes: The boxes from input to output, branch by branch.
        copies: The names of the equal modules in a row that are drawn as this one, beginning with its own name.
    """

    name: str
    boxes: list[Box]
    copies: list[str]

    @property
    def title(self) -> str:
        """The name of the group, or the first and last name of its copies and their number."""
        return self.name if len(self.copies) == 1 else f"{self.name} …\n{self.copies[-1]}\nx {len(self.copies)}"

    @property
    def is_module(self) -> bool:
        """True if the group has more than a single box."""
        return len(self.boxes) > 1


def read_boxes(model: keras.Model) -> tuple[list[Box], list[str]]:
    """Returns the boxes of a model from input to output, and the names of those that are its outputs.

    Batch normalization, activations, padding and dropout are folded into the box of the layer that they follow.

    Args:
        model: A built Keras model, functional or sequential.

    Raises:
        ValueError: If the model has no graph of layers, such as a subclassed model.
    """
    uses, answers = calls(model)
    consumers = Counter(parent for call in uses for parent in call.parents)
    boxes: dict[str, Box] = {}
    owner: list[str] = []
    for layer, before, shape in uses:
        parents = list(dict.fromkeys(owner[parent] for parent in before))
        sole = len(before) == 1 and consumers[before[0]] == 1
        if parents and (isinstance(layer, _INVISIBLE) or (isinstance(layer, _PARTS) and sole)):
            node = boxes[parents[0]]
            node.called.append(layer)
            node.parts += _parts(layer)
        else:
            # A layer that is called twice is drawn twice.
            name = layer.name.replace(":", "_")
            name = name if name not in boxes else f"{name} {len(boxes)}"
            kind, lines = _description(layer, shape)
            node = boxes[name] = Box(name, kind, lines, shape, parents, [layer], _activation(layer))
        owner.append(node.name)
    for node in boxes.values():
        if node.kind == "convolution":
            node.kind = " + ".join(["convolution", *(part for part in node.parts if part in ("BN", "ReLU"))])
    return list(boxes.values()), list(dict.fromkeys(owner[answer] for answer in answers))


def _description(layer: Any, shape: tuple[int | None, ...]) -> tuple[str, list[str]]:
    """Returns the kind of a layer and the lines of text in its box."""
    name = type(layer).__name__
    kind, lines = "other", [name]
    if isinstance(layer, layers.InputLayer):
        kind, lines = "input", ["input", size_text(shape)]
    elif isinstance(layer, layers.Dense):
        kind, lines = "dense", [f"dense {layer.units}"]
    elif isinstance(layer, layers.Concatenate):
        kind, lines = "concatenation", ["concat"]
    elif name == "Add":
        kind, lines = "addition", ["add"]
    elif "Normalization" in name:
        kind, lines = "normalization", ["LRN" if name == "LocalResponseNormalization" else name]
    elif "Pooling" in name:
        kind, lines = "pooling", [("global " if "Global" in name else "") + ("max" if "Max" in name else "avg")]
        if "Adaptive" in name:
            lines.append(f"to {size_text(layer.output_size)}")
        elif "Global" not in name:
            lines.append(f"{_square(layer.pool_size)}/{_stride(layer)}")
    elif "Conv" in name and hasattr(layer, "kernel_size"):
        sort = name.replace("Conv2D", " ").strip().lower()
        kind, lines = "convolution", [f"{_square(layer.kernel_size)}/{_stride(layer)}", str(shape[-1])]
        if sort:
            lines.insert(0, sort)
        if getattr(layer, "groups", 1) > 1:
            lines.append(f"{layer.groups} groups")
    return kind, lines


def _activation(layer: Any) -> list[str]:
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return {"linear": [], "relu": ["ReLU"]}.get(name, [name])


def _parts(layer: Any) -> list[str]:
    """Returns the texts that a folded layer adds to its box."""
    if isinstance(layer, layers.Activation):
        return _activation(layer)
    if isinstance(layer, layers.Dropout):
        return [f"dropout {layer.rate:g}"]
    if isinstance(layer, layers.Rescaling):
        return [f"scale {layer.scale:g}"]
    words = {layers.BatchNormalization: "BN", layers.ReLU: "ReLU", layers.Softmax: "softmax"}
    return [word for kind, word in words.items() if isinstance(layer, kind)]


def grouped(boxes: list[Box], answers: list[str]) -> list[Group]:
    """Groups boxes into modules and single boxes, in the order of their last boxes.

    A module consists of a layer that joins branches or is an output of the model, and of the layers before it whose
    names start with its name and ``_``.

    Args:
        boxes: The boxes of `read_boxes`.
        answers: Names of the boxes that are the model's outputs.
    """
    candidates = []
    for position, node in enumerate(boxes):
        if len(node.parents) > 1 or node.name in answers:
            for name in node.layers:
                members = [other for other in boxes if other is node or other.name.startswith(f"{name}_")]
                if len(members) > 2 and boxes.index(members[-1]) == position:
                    candidates.append(Group(name, _by_branch(node, members), [name]))
    module_of: dict[str, Group] = {}
    for group in sorted(candidates, key=lambda group: -len(group.boxes)):
        if not any(node.name in module_of for node in group.boxes):
            module_of.update({node.name: group for node in group.boxes})
    groups = [module_of.get(node.name) or Group(node.name, [node], [node.name]) for node in boxes]
    ends = {group.name: (position, group) for position, group in enumerate(groups)}
    return [group for _, group in sorted(ends.values(), key=lambda end: end[0])]


def _by_branch(join: Box, members: list[Box]) -> list[Box]:
    """Returns the boxes of a module, branch by branch, in the order in which the branches are joined."""
    by_name = {node.name: node for node in members}
    order: dict[str, Box] = {}

    def visit(node: Box) -> None:
        for name in node.parents:
            if name in by_name and name not in order:
                visit(by_name[name])
        order[node.name] = node

    visit(join)
    return [*(node for node in members if node.name not in order), *order.values()]


def size_text(shape: Iterable[int | None]) -> str:
    """Formats a shape, such as ``28x28x256``; a question mark stands for an unknown extent."""
    return "x".join("?" if extent is None else str(extent) for extent in shape)


def _square(extents: int | tuple[int, ...]) -> str:
    return size_text(extents if isinstance(extents, tuple | list) else (extents, extents))


def _stride(layer: Any) -> str:
    strides = layer.strides if isinstance(layer.strides, tuple | list) else (layer.strides,)
    return str(strides[0]) if len(set(strides)) == 1 else size_text(strides)
