"""Tests the ideas that came after GoogLeNet one at a time, as in the exercises of the course's chapter on GoogLeNet.

All trainings have the same data, input size, epochs, learning rate and seeds. The input size, epochs and learning rate
are those of the course's GoogLeNet. Source of the exercises: d2l-ai/d2l-en chapter_convolutional-modern/googlenet.md.
"""

import dataclasses
from typing import Any

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import load_recipe

# A tenth of the training images is held out for the evaluation after each epoch. The course's network does not have
# dropout, so the others are trained without it, too. The moving moments average over about ten batches in all networks,
# because with TF-slim's decay of 0.9997 the initial values would still have a weight of 28% after the 4,210 steps of
# ten epochs.
_BASELINE = dataclasses.replace(
    load_recipe("d2l_fashion_mnist"),
    train_split="train[:90%]",
    validation_split="train[90%:]",
    dropout=0.0,
    moments_decay=0.9,
)
_BATCH_NORMALIZED = "googlenet_bn"


def _entry(name: str, idea: str, compared_with: str | None = "googlenet", **changes: Any) -> Entry:
    recipe = dataclasses.replace(_BASELINE, **changes)
    return Entry(name=name, idea=idea, recipe=recipe, compared_with=compared_with)


STUDY = Study(
    name="googlenet_ideas",
    question="What does each idea that came after GoogLeNet bring by itself?",
    entries=(
        _entry("googlenet", "the course's network", None),
        _entry("batch_normalization", "batch normalization after every convolution", normalization="batch"),
        _entry("lrn", "local response normalization around conv2, as in the paper", normalization="lrn"),
        _entry("label_smoothing", "a tenth of the target spread over all classes", label_smoothing=0.1),
        _entry("aux_heads", "two auxiliary heads during training, each with weight 0.3", aux_heads=True),
        _entry("googlenet_bn", "batch normalization, He initialization", None, model="googlenet_bn"),
        _entry("residual", "a shortcut around every module", _BATCH_NORMALIZED, model="googlenet_residual"),
        _entry(
            "inception_v2", "3x3 instead of 5x5 convolutions, wider modules", _BATCH_NORMALIZED, model="inception_v2"
        ),
        _entry("inception_v3", "factorized 7x7 convolutions", _BATCH_NORMALIZED, model="inception_v3"),
        _entry("inception_v4", "more modules, with a uniform design", _BATCH_NORMALIZED, model="inception_v4"),
        _entry("inception_resnet_v1", "residual modules", "inception_v3", model="inception_resnet_v1"),
    ),
    notes=(
        "Each row is compared with the row that lacks only its idea. `residual` differs from `googlenet_bn` in its "
        "shortcuts only. The Inception networks of later papers change more than one thing at a time, because their "
        "stems, widths and depths differ as well; they are compared with the most similar row.",
        "The rows `lrn` and `aux_heads` add parts of the original paper that the course's network does not have.",
        "All rows use the course's learning rate of 0.1. It was not tuned for any of them, and another one may favour "
        "other rows.",
    ),
)
