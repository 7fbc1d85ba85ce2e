"""GoogLeNet in Keras 3: the factory, the build script and what belongs around them.

Names are looked up when they are first used, so that ``import googlenet_keras`` and the commands' ``--help`` cost
next to nothing.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "googlenet_keras.blocks": (
        "BatchNormalizationStyle",
        "Conv",
        "Fork",
        "ModuleFilters",
        "Pool",
        "Style",
        "auxiliary_head",
        "conv_block",
        "inception_module",
        "mixed_block",
        "residual_block",
    ),
    "googlenet_keras.describe": (
        "bottlenecks",
        "compare",
        "count_multiply_adds",
        "describe_model",
        "minimum_size",
        "plot_architecture",
        "plot_model",
    ),
    "googlenet_keras.layers": ("CeilAveragePooling2D", "LocalResponseNormalization"),
    "googlenet_keras.models": (
        "AlexNet",
        "GoogLeNet",
        "InceptionResNetV1",
        "InceptionResNetV2",
        "InceptionV2",
        "InceptionV3",
        "InceptionV4",
        "MNISTInception",
        "MNISTResidual",
        "NiN",
        "VGG",
        "ModelRecord",
        "Preprocessing",
        "create_model",
        "feature_extractor",
        "inference_model",
        "list_models",
        "model_record",
        "preprocess_input",
    ),
    "googlenet_keras.saved_model": ("Classifier", "Export", "Prediction", "export_model"),
    "googlenet_keras.training": ("create_strategy",),
    "googlenet_keras.weights": ("load_state", "load_weights", "read_weights"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]  # noqa: PLE0604 (names all the same)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
