"""SavedModels: written from a model, checked against it, and asked."""

from googlenet_keras.deploy.build import Export, export_model
from googlenet_keras.deploy.classifier import Classifier, Prediction, decode_predictions

__all__ = ["Classifier", "Export", "Prediction", "decode_predictions", "export_model"]
