"""The trainings of the course and of two digit networks, each beside the figure that its source tells.

The figures' sources are in the recipes' docstrings.
"""

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import load_recipe


def _entry(name: str, idea: str, published: float | None) -> Entry:
    return Entry(name=name, idea=idea, recipe=load_recipe(name), published=published)


# The cheapest first.
STUDY = Study(
    name="course",
    question="Do the course's recipes end where the course says?",
    entries=(
        _entry("mnist_residual", "two residual blocks", None),
        _entry("mnist_inception", "two Inception modules", 0.9888),
        _entry("d2l_fashion_mnist", "GoogLeNet", 0.899),
        _entry("d2l_alexnet", "AlexNet", 0.883),
        _entry("d2l_nin", "NiN", 0.865),
        _entry("d2l_vgg11", "VGG-11 of a quarter of the filters", 0.909),
    ),
    seeds=(0,),
    notes=(
        "The published figures are of one run each at the recipe's own size, after the last epoch; that "
        "of mnist_inception is of twelve epochs on all of MNIST, and the course's AlexNet is wider than the one here.",
    ),
)
