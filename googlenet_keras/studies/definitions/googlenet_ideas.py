"""The exercises of the course's chapter on GoogLeNet: what came after it, one idea at a time.

All have the same data, size, epochs, learning rate and seeds, those of the course's GoogLeNet. Source of the exercises:
d2l-ai/d2l-en chapter_convolutional-modern/googlenet.md.
"""

import dataclasses
from typing import Any

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import load_recipe

# A tenth of the training images is held out to be measured on after each epoch. The course's network has no dropout,
# and so the others have none. Moments over some ten batches for all: TF-slim's 0.9997 would not have left its first
# values after the 4,220 steps of ten epochs.
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
        _entry("aux_heads", "two auxiliary heads while training, weighed 0.3", aux_heads=True),
        _entry("googlenet_bn", "batch normalization, He initialization", None, model="googlenet_bn"),
        _entry("residual", "a shortcut around every module", _BATCH_NORMALIZED, model="googlenet_residual"),
        _entry(
            "inception_v2", "two 3x3 convolutions for a 5x5, wider modules", _BATCH_NORMALIZED, model="inception_v2"
        ),
        _entry("inception_v3", "factorized 7x7 convolutions", _BATCH_NORMALIZED, model="inception_v3"),
        _entry("inception_v4", "one plan for all modules, more of them", _BATCH_NORMALIZED, model="inception_v4"),
        _entry("inception_resnet_v1", "residual modules", "inception_v3", model="inception_resnet_v1"),
    ),
    notes=(
        "Each row is compared with the row that lacks its idea alone. `residual` differs from `googlenet_bn` by its "
        "shortcuts only. The Inception networks of later papers change more than one thing at a time: their stems, "
        "widths and depths are others too, and they are compared with the nearest row.",
        "The paper's local response normalization and auxiliary heads are switched on: the course's network has "
        "neither.",
        "The learning rate is the course's, 0.1, for all of them: none was tuned, and another one may favour another "
        "row.",
    ),
)
