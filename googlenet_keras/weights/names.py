"""Translates the layer names of GoogLeNet and Inception v2 to those in other implementations.

Each function takes the name of a layer here and returns its name in the other implementation, or None if the network
has no such layer. For a normalization, the functions take the name of its convolution.
"""

import re
from collections.abc import Callable, Mapping

Naming = Callable[[str], str | None]


def own_name(name: str) -> str:
    """Returns the same name, for files of Keras itself."""
    return name


def _by_table(modules: str, branches: Mapping[str, str], others: Mapping[str, str]) -> Naming:
    """Returns a function that names the layers of Inception modules by a rule and the others by a table.

    In ``modules``, ``{module}`` stands for the module, such as "3a".
    """

    def layer_name(name: str) -> str | None:
        match = re.fullmatch(r"inception_(\d[a-z])_(\w+)", name)
        if match and match[2] in branches:
            return modules.format(module=match[1]) + branches[match[2]]
        return others.get(name)

    return layer_name


# torchvision/models/googlenet.py, where a BasicConv2d contains `conv` and `bn`.
torchvision_googlenet = _by_table(
    "inception{module}.",
    {
        "1x1": "branch1",
        "3x3_reduce": "branch2.0",
        "3x3": "branch2.1",
        "5x5_reduce": "branch3.0",
        "5x5": "branch3.1",
        "pool_proj": "branch4.1",
    },
    {
        "conv1_7x7": "conv1",
        "conv2_3x3_reduce": "conv2",
        "conv2_3x3": "conv3",
        "aux1_conv": "aux1.conv",
        "aux1_fc": "aux1.fc1",
        "aux1": "aux1.fc2",
        "aux2_conv": "aux2.conv",
        "aux2_fc": "aux2.fc1",
        "aux2": "aux2.fc2",
        "predictions": "fc",
    },
)

# BVLC caffe models/bvlc_googlenet/train_val.prototxt. The two blobs of a layer are called .weight and .bias here.
caffe_googlenet = _by_table(
    "inception_{module}/",
    {branch: branch for branch in ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")},
    {
        "conv1_7x7": "conv1/7x7_s2",
        "conv2_3x3_reduce": "conv2/3x3_reduce",
        "conv2_3x3": "conv2/3x3",
        "aux1_conv": "loss1/conv",
        "aux1_fc": "loss1/fc",
        "aux1": "loss1/classifier",
        "aux2_conv": "loss2/conv",
        "aux2_fc": "loss2/fc",
        "aux2": "loss2/classifier",
        "predictions": "loss3/classifier",
    },
)

# tensorflow/models research/slim/nets/inception_v1.py. Its modules start at Mixed_3b, and those of the paper at 3a.
_slim_branches = {
    "1x1": "Branch_0/Conv2d_0a_1x1",
    "3x3_reduce": "Branch_1/Conv2d_0a_1x1",
    "3x3": "Branch_1/Conv2d_0b_3x3",
    "5x5_reduce": "Branch_2/Conv2d_0a_1x1",
    "5x5": "Branch_2/Conv2d_0b_3x3",
    "pool_proj": "Branch_3/Conv2d_0b_1x1",
}
_slim_others = {
    "conv1_7x7": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
    # the only name that breaks the rule
    "inception_5a_5x5": "Mixed_5b/Branch_2/Conv2d_0a_3x3",
    "predictions": "Logits/Conv2d_0c_1x1",
}


def slim_inception_v1(name: str) -> str | None:
    """Returns a layer's name in TF-slim's Inception v1."""
    match = re.fullmatch(r"inception_(\d)([a-e])_(\w+)", name)
    if name in _slim_others:
        there = _slim_others[name]
    elif match and match[3] in _slim_branches:
        there = f"Mixed_{match[1]}{chr(ord(match[2]) + 1)}/{_slim_branches[match[3]]}"
    else:
        return None
    return f"InceptionV1/{there}"


# research/slim/nets/inception_v2.py. Its modules start at Mixed_3b as well, and its reductions count as modules.
_slim_v2_modules = dict(
    zip(
        ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"),
        ("3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b", "5c"),
        strict=True,
    )
)
_slim_v2_others = {
    "conv1_7x7": "Conv2d_1a_7x7",
    "conv2_3x3_reduce": "Conv2d_2b_1x1",
    "conv2_3x3": "Conv2d_2c_3x3",
    "predictions": "Logits/Conv2d_1c_1x1",
}


def slim_inception_v2(name: str) -> str | None:
    """Returns a layer's name in TF-slim's Inception v2."""
    if name in _slim_v2_others:
        return f"InceptionV2/{_slim_v2_others[name]}"
    match = re.fullmatch(r"inception_(\d[a-e])_branch(\d)(?:_(\d))?", name)
    if not match:
        return None
    module, branch, step = match[1], match[2], int(match[3] or 0)
    # The last step of each branch in a reduction has stride 2, which TF-slim marks by "1a" in the name. A projection
    # after a pooling layer is the second step of its branch.
    shrinks = module in ("3c", "4e") and step == int(branch) + 1
    place = "1a" if shrinks else f"0{'abc'[step]}"
    kernel = "1x1" if step == 0 or branch == "3" else "3x3"
    return f"InceptionV2/Mixed_{_slim_v2_modules[module]}/Branch_{branch}/Conv2d_{place}_{kernel}"
