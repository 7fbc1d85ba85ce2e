"""The networks: a file for each family, and the registry of them all."""

from googlenet_keras.models.googlenet import GoogLeNet
from googlenet_keras.models.preprocessing import Preprocessing
from googlenet_keras.models.registry import ModelRecord, create_model, list_models, model_record, preprocess_input
from googlenet_keras.models.views import feature_extractor, inference_model

__all__ = [
    "GoogLeNet",
    "ModelRecord",
    "Preprocessing",
    "create_model",
    "feature_extractor",
    "inference_model",
    "list_models",
    "model_record",
    "preprocess_input",
]
