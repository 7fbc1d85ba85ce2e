from .build import Export as Export, export_model as export_model
from .classifier import (
    Classifier as Classifier,
    Prediction as Prediction,
    decode_predictions as decode_predictions,
)
from .optimization import optimize_for_inference as optimize_for_inference
from .runtimes import open_artifact as open_artifact, read_artifact_card as read_artifact_card
