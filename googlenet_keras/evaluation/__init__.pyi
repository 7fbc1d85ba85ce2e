from .crops import CROPS as CROPS, paper_crops as paper_crops, ten_crops as ten_crops
from .measurement import (
    Evaluation as Evaluation,
    evaluate as evaluate,
    evaluate_model as evaluate_model,
    score_models as score_models,
)
from .pictures import plot_confusion as plot_confusion
from .scores import ClassScore as ClassScore, Scores as Scores, Tally as Tally
