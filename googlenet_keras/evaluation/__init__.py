"""How well a trained model names images; as a command, ``python -m googlenet_keras.evaluate``.

Names are looked up when they are first used, so that the command's ``--help`` costs next to nothing.
"""

from googlenet_keras import lazy

_HOMES = {
    "googlenet_keras.evaluation.crops": ("CROPS", "paper_crops", "ten_crops"),
    "googlenet_keras.evaluation.evaluation": ("Evaluation", "evaluate_model", "score_models"),
    "googlenet_keras.evaluation.pictures": ("plot_confusion",),
    "googlenet_keras.evaluation.scores": ("ClassScore", "Scores", "Tally"),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)
