"""Builds the networks: one file for each family, and a registry of all networks."""

from googlenet_keras.images.preprocessing import Preprocessing
from googlenet_keras.models.alexnet import AlexNet
from googlenet_keras.models.googlenet import GoogLeNet
from googlenet_keras.models.inception_resnet import InceptionResNetV1, InceptionResNetV2
from googlenet_keras.models.inception_v2 import InceptionV2
from googlenet_keras.models.inception_v3 import InceptionV3
from googlenet_keras.models.inception_v4 import InceptionV4
from googlenet_keras.models.mnist import MNISTInception, MNISTResidual
from googlenet_keras.models.nin import NiN
from googlenet_keras.models.presets import from_preset, save_to_preset
from googlenet_keras.models.registry import ModelRecord, create_model, list_models, model_record, preprocess_input
from googlenet_keras.models.trained import load_model
from googlenet_keras.models.vgg import VGG
from googlenet_keras.models.views import feature_extractor, inference_model, serving_model

__all__ = [
    "VGG",
    "AlexNet",
    "GoogLeNet",
    "InceptionResNetV1",
    "InceptionResNetV2",
    "InceptionV2",
    "InceptionV3",
    "InceptionV4",
    "MNISTInception",
    "MNISTResidual",
    "ModelRecord",
    "NiN",
    "Preprocessing",
    "create_model",
    "feature_extractor",
    "from_preset",
    "inference_model",
    "list_models",
    "load_model",
    "model_record",
    "preprocess_input",
    "save_to_preset",
    "serving_model",
]
