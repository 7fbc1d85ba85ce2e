"""GoogLeNet in Keras 3: the factory, the build script and what belongs around them.

Names are looked up when they are first used, so that ``import googlenet_keras`` and the commands' ``--help`` cost
next to nothing.
"""

from googlenet_keras import lazy, registration

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
    "googlenet_keras.data": ("Augmentation", "Batches", "Dataset", "Split", "open_dataset"),
    "googlenet_keras.describe": (
        "bottlenecks",
        "compare",
        "count_multiply_adds",
        "describe_model",
        "minimum_size",
        "plot_architecture",
        "plot_model",
    ),
    "googlenet_keras.devices": ("DtypeChoice", "choose_dtype", "create_strategy"),
    "googlenet_keras.evaluation": (
        "Evaluation",
        "evaluate_model",
        "paper_crops",
        "plot_confusion",
        "score_models",
        "ten_crops",
    ),
    "googlenet_keras.layers": ("BatchNormalization", "CeilAveragePooling2D", "Conv2D", "LocalResponseNormalization"),
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
        "load_model",
        "model_record",
        "preprocess_input",
    ),
    "googlenet_keras.saved_model": ("Classifier", "Export", "Prediction", "export_model"),
    "googlenet_keras.training": ("Muon", "Recipe", "load_recipe", "recipe_names"),
    "googlenet_keras.weights": (
        "PUBLISHED",
        "Card",
        "PublishedWeights",
        "load_state",
        "load_weights",
        "read_card",
        "read_weights",
        "shrink_weights",
        "write_card",
    ),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)

registration.register_with_keras()
