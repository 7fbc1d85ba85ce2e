"""Translates the layer names of the later Inception networks to their names in other implementations.

The functions take and return the same as those in `googlenet_keras.weights.names`.
"""

import re
from collections.abc import Callable, Mapping

from googlenet_keras.weights.names import Naming


def _steps(*branches: str) -> dict[str, str]:
    """Maps the positions in a module, as `blocks.mixed_block` names them, to the names in the other implementation.

    Args:
        *branches: The names of the steps in each branch, separated by spaces. "-" stands for a pooling layer, and a
            comma separates the arms of a fork.

    Returns:
        A mapping such as ``{"0": ..., "1_0": ..., "1_1a": ..., "1_1b": ...}``.
    """
    places = {}
    for branch, text in enumerate(branches):
        words = text.split()
        for step, word in enumerate(words):
            arms = word.split(",")
            for arm, there in zip("ab" if len(arms) > 1 else ("",), arms, strict=True):
                places[f"{branch}_{step}{arm}" if len(words) > 1 else str(branch)] = there
    return {place: there for place, there in places.items() if there != "-"}


def _by_modules(
    modules: Mapping[str, Mapping[str, str]], others: Mapping[str, str], inside: Callable[[str, str, str], str]
) -> Naming:
    """Returns a function that looks up names in a table of each module's steps and in a table of the other layers.

    Args:
        modules: Maps the name of each module here to the result of `_steps`.
        others: Maps the names of the other layers here to their names in the other implementation.
        inside: A function that takes the other implementation's name of a module, a position in the module, and the
            name of the step at that position, and returns the complete name.
    """

    def layer_name(name: str) -> str | None:
        module, _, place = name.partition("_branch")
        if place in modules.get(module, {}):
            return inside(module.capitalize(), place, modules[module][place])
        return others.get(name)

    return layer_name


def _slim(network: str, modules: Mapping[str, Mapping[str, str]], others: Mapping[str, str]) -> Naming:
    """Returns a function for the names of a TF-slim network.

    The steps are abbreviated: "0a_1x1" in branch 0 means Branch_0/Conv2d_0a_1x1.
    """

    def inside(module: str, place: str, step: str) -> str:
        step = step if step.startswith("Conv") else f"Conv2d_{step}"
        return f"{network}/{module}/Branch_{place[0]}/{step}"

    return _by_modules(modules, {name: f"{network}/{there}" for name, there in others.items()}, inside)


# tensorflow/models research/slim/nets/inception_v3.py, including the names that break its own rules.
_SLIM_V3_35 = _steps("0a_1x1", "0a_1x1 0b_5x5", "0a_1x1 0b_3x3 0c_3x3", "- 0b_1x1")
_SLIM_V3_17 = _steps("0a_1x1", "0a_1x1 0b_1x7 0c_7x1", "0a_1x1 0b_7x1 0c_1x7 0d_7x1 0e_1x7", "- 0b_1x1")
_SLIM_V3_8 = _steps("0a_1x1", "0a_1x1 0b_1x3,0c_3x1", "0a_1x1 0b_3x3 0c_1x3,0d_3x1", "- 0b_1x1")
slim_inception_v3 = _slim(
    "InceptionV3",
    {
        "mixed_5b": _SLIM_V3_35,
        "mixed_5c": {**_SLIM_V3_35, "1_0": "0b_1x1", "1_1": "Conv_1_0c_5x5"},
        "mixed_5d": _SLIM_V3_35,
        "mixed_6a": _steps("1a_1x1", "0a_1x1 0b_3x3 1a_1x1"),
        **{f"mixed_6{letter}": _SLIM_V3_17 for letter in "bcde"},
        "mixed_7a": _steps("0a_1x1 1a_3x3", "0a_1x1 0b_1x7 0c_7x1 1a_3x3"),
        "mixed_7b": {**_SLIM_V3_8, "1_1b": "0b_3x1"},
        "mixed_7c": _SLIM_V3_8,
    },
    {
        "conv_1a": "Conv2d_1a_3x3",
        "conv_2a": "Conv2d_2a_3x3",
        "conv_2b": "Conv2d_2b_3x3",
        "conv_3b": "Conv2d_3b_1x1",
        "conv_4a": "Conv2d_4a_3x3",
        "aux_conv1": "AuxLogits/Conv2d_1b_1x1",
        "aux_conv2": "AuxLogits/Conv2d_2a_5x5",
        "aux": "AuxLogits/Conv2d_2b_1x1",
        "predictions": "Logits/Conv2d_1c_1x1",
    },
)

# tensorflow/models research/slim/nets/inception_v4.py
_SLIM_V4_35 = _steps("0a_1x1", "0a_1x1 0b_3x3", "0a_1x1 0b_3x3 0c_3x3", "- 0b_1x1")
_SLIM_V4_17 = _steps("0a_1x1", "0a_1x1 0b_1x7 0c_7x1", "0a_1x1 0b_7x1 0c_1x7 0d_7x1 0e_1x7", "- 0b_1x1")
_SLIM_V4_8 = _steps("0a_1x1", "0a_1x1 0b_1x3,0c_3x1", "0a_1x1 0b_3x1 0c_1x3 0d_1x3,0e_3x1", "- 0b_1x1")
slim_inception_v4 = _slim(
    "InceptionV4",
    {
        "mixed_3a": _steps("-", "0a_3x3"),
        "mixed_4a": _steps("0a_1x1 1a_3x3", "0a_1x1 0b_1x7 0c_7x1 1a_3x3"),
        "mixed_5a": _steps("1a_3x3"),
        **{f"mixed_5{letter}": _SLIM_V4_35 for letter in "bcde"},
        "mixed_6a": _steps("1a_3x3", "0a_1x1 0b_3x3 1a_3x3"),
        **{f"mixed_6{letter}": _SLIM_V4_17 for letter in "bcdefgh"},
        "mixed_7a": _steps("0a_1x1 1a_3x3", "0a_1x1 0b_1x7 0c_7x1 1a_3x3"),
        **{f"mixed_7{letter}": _SLIM_V4_8 for letter in "bcd"},
    },
    {
        "conv_1a": "Conv2d_1a_3x3",
        "conv_2a": "Conv2d_2a_3x3",
        "conv_2b": "Conv2d_2b_3x3",
        "aux_conv1": "AuxLogits/Conv2d_1b_1x1",
        "aux_conv2": "AuxLogits/Conv2d_2a",
        "aux": "AuxLogits/Aux_logits",
        "predictions": "Logits/Logits",
    },
)

# tensorflow/models research/slim/nets/inception_resnet_v2.py. The last convolution of a residual block is in no branch.
_slim_resnet_modules = _slim(
    "InceptionResnetV2",
    {
        "mixed_5b": _steps("1x1", "0a_1x1 0b_5x5", "0a_1x1 0b_3x3 0c_3x3", "- 0b_1x1"),
        "mixed_6a": _steps("1a_3x3", "0a_1x1 0b_3x3 1a_3x3"),
        "mixed_7a": _steps("0a_1x1 1a_3x3", "0a_1x1 1a_3x3", "0a_1x1 0b_3x3 1a_3x3"),
    },
    {
        "conv_1a": "Conv2d_1a_3x3",
        "conv_2a": "Conv2d_2a_3x3",
        "conv_2b": "Conv2d_2b_3x3",
        "conv_3b": "Conv2d_3b_1x1",
        "conv_4a": "Conv2d_4a_3x3",
        "conv_7b": "Conv2d_7b_1x1",
        "aux_conv1": "AuxLogits/Conv2d_1b_1x1",
        "aux_conv2": "AuxLogits/Conv2d_2a_5x5",
        "aux": "AuxLogits/Logits",
        "predictions": "Logits/Logits",
    },
)
_SLIM_RESNET_BLOCKS = {
    "block35": ("Repeat", _steps("1x1", "0a_1x1 0b_3x3", "0a_1x1 0b_3x3 0c_3x3")),
    "block17": ("Repeat_1", _steps("1x1", "0a_1x1 0b_1x7 0c_7x1")),
    "block8": ("Repeat_2", _steps("1x1", "0a_1x1 0b_1x3 0c_3x1")),
}


def slim_inception_resnet_v2(name: str) -> str | None:
    """Returns a layer's name in TF-slim's Inception-ResNet v2."""
    match = re.fullmatch(r"(block\d+)_(\d+)_(?:mixed_branch(\w+)|conv)", name)
    if not match:
        return _slim_resnet_modules(name)
    kind, number, place = match.groups()
    repeat, steps = _SLIM_RESNET_BLOCKS[kind]
    block = "Block8" if (kind, number) == ("block8", "10") else f"{repeat}/{kind}_{number}"
    inside = f"Branch_{place[0]}/Conv2d_{steps[place]}" if place else "Conv2d_1x1"
    return f"InceptionResnetV2/{block}/{inside}"


# pytorch/vision torchvision/models/inception.py
_TORCHVISION_35 = _steps(
    "branch1x1", "branch5x5_1 branch5x5_2", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "- branch_pool"
)
_TORCHVISION_17 = _steps(
    "branch1x1",
    "branch7x7_1 branch7x7_2 branch7x7_3",
    "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5",
    "- branch_pool",
)
_TORCHVISION_8 = _steps(
    "branch1x1",
    "branch3x3_1 branch3x3_2a,branch3x3_2b",
    "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a,branch3x3dbl_3b",
    "- branch_pool",
)
torchvision_inception_v3 = _by_modules(
    {
        **{f"mixed_5{letter}": _TORCHVISION_35 for letter in "bcd"},
        "mixed_6a": _steps("branch3x3", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3"),
        **{f"mixed_6{letter}": _TORCHVISION_17 for letter in "bcde"},
        "mixed_7a": _steps("branch3x3_1 branch3x3_2", "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4"),
        "mixed_7b": _TORCHVISION_8,
        "mixed_7c": _TORCHVISION_8,
    },
    {
        "conv_1a": "Conv2d_1a_3x3",
        "conv_2a": "Conv2d_2a_3x3",
        "conv_2b": "Conv2d_2b_3x3",
        "conv_3b": "Conv2d_3b_1x1",
        "conv_4a": "Conv2d_4a_3x3",
        "aux_conv1": "AuxLogits.conv0",
        "aux_conv2": "AuxLogits.conv1",
        "aux": "AuxLogits.fc",
        "predictions": "fc",
    },
    lambda module, _, step: f"{module}.{step}",
)

# timm/models/inception_v4.py; each block has a position in `features`.
_timm_v4_blocks = {
    name: f"features.{place}"
    for place, name in enumerate(
        (
            *("conv_1a", "conv_2a", "conv_2b", "mixed_3a", "mixed_4a", "mixed_5a"),
            *(f"mixed_5{letter}" for letter in "bcde"),
            *(f"mixed_6{letter}" for letter in "abcdefgh"),
            *(f"mixed_7{letter}" for letter in "abcd"),
        )
    )
}


def timm_inception_v4(name: str) -> str | None:
    """Returns a layer's name in timm's Inception v4."""
    if name == "predictions":
        return "last_linear"
    block, _, place = name.partition("_branch")
    if block not in _timm_v4_blocks:
        return None
    if block in ("mixed_3a", "mixed_5a"):  # one convolution in parallel with a pooling layer
        place = "conv"
    elif place:
        # In timm, branches that fork are not a Sequential, and their steps are attributes of the block.
        forks = block in ("mixed_7b", "mixed_7c", "mixed_7d") and place[0] in "12"
        place = f"branch{place if forks else place.replace('_', '.')}"
    return f"{_timm_v4_blocks[block]}.{place}" if place else _timm_v4_blocks[block]


def _residual_layer(repeats: Mapping[str, str], last: str, others: Mapping[str, str]) -> Naming:
    """Returns a function for the names of an Inception-ResNet in PyTorch.

    Args:
        repeats: Maps each kind of block here to the Sequential that holds such blocks in PyTorch.
        last: The name of the last block here, which PyTorch calls `block8`.
        others: The name of the classifier and other names that do not follow the rule.
    """

    def layer_name(name: str) -> str | None:
        if name in others:
            return others[name]
        if match := re.fullmatch(r"(block\d+)_(\d+)_(?:mixed_(branch\w+)|(conv))", name):
            block = "block8" if name.startswith(f"{last}_") else f"{repeats[match[1]]}.{int(match[2]) - 1}"
            return f"{block}.{'conv2d' if match[4] else match[3].replace('_', '.')}"
        if match := re.fullmatch(r"(mixed_\d[ab])_(branch\w+)", name):
            return f"{match[1]}.{match[2].replace('_', '.')}"
        match = re.fullmatch(r"conv_(\d[ab])", name)
        return f"conv2d_{match[1]}" if match else None

    return layer_name


# timm/models/inception_resnet_v2.py
timm_inception_resnet_v2 = _residual_layer(
    {"block35": "repeat", "block17": "repeat_1", "block8": "repeat_2"}, "block8_10", {"predictions": "classif"}
)
# facenet-pytorch models/inception_resnet_v1.py. Its head, an embedding and a classifier, has no counterpart here.
facenet_inception_resnet_v1 = _residual_layer(
    {"block35": "repeat_1", "block17": "repeat_2", "block8": "repeat_3"}, "block8_6", {}
)
