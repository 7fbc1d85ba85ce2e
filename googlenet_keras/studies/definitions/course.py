"""Compares the trainings of the course and of two digit networks with the accuracies that their sources report.

The sources are given in the docstrings of the recipes.
"""

from googlenet_keras.studies.study import Entry, Study
from googlenet_keras.training.recipe import load_recipe


def _entry(name: str, idea: str, published: float | None) -> Entry:
    return Entry(name=name, idea=idea, recipe=load_recipe(name), published=published)


# The entries are ordered by cost, so that the cheapest training runs first.
STUDY = Study(
    name="course",
    question="Do the course's recipes reach the accuracies that the course reports?",
    entries=(
        _entry("mnist_residual", "two residual blocks", None),
        _entry("mnist_inception", "two Inception modules", 0.9888),
        _entry("d2l_fashion_mnist", "GoogLeNet", 0.899),
        _entry("d2l_alexnet", "AlexNet", 0.883),
        _entry("d2l_nin", "NiN", 0.865),
        _entry("d2l_vgg11", "VGG-11 with a quarter of the filters", 0.909),
    ),
    seeds=(0,),
    notes=(
        "Each published accuracy is from a single run at the recipe's own input size, after the last epoch. That of "
        "mnist_inception is from twelve epochs on all of MNIST. The course's AlexNet is wider than the one here.",
    ),
)
