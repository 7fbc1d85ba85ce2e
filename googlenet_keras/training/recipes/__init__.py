"""One file for each training and its result; here each has its name."""

from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.recipes import bn_imagenet, d2l_fashion_mnist, fashion_mnist, finetune, paper_imagenet

RECIPES: dict[str, Recipe] = {
    "bn_imagenet": bn_imagenet.RECIPE,
    "d2l_fashion_mnist": d2l_fashion_mnist.RECIPE,
    "fashion_mnist": fashion_mnist.RECIPE,
    "finetune": finetune.RECIPE,
    "paper_imagenet": paper_imagenet.RECIPE,
}
