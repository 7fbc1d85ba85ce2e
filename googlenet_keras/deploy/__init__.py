"""SavedModels: written from a model, checked against it, and asked."""

from googlenet_keras.deploy.build import Export, export_model
from googlenet_keras.deploy.classifier import Classifier, Prediction

__all__ = ["Classifier", "Export", "Prediction", "export_model"]
