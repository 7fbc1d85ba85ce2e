"""SavedModels: written from a model, checked against it, and asked."""

from googlenet_keras.saved_model.build import Export, export_model
from googlenet_keras.saved_model.classifier import Classifier, Prediction

__all__ = ["Classifier", "Export", "Prediction", "export_model"]
