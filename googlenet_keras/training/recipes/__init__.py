"""Lists the recipes by name; each is defined in a file of its own, together with its result."""

from googlenet_keras.training.recipe import Recipe
from googlenet_keras.training.recipes import (
    bn_imagenet,
    d2l_alexnet,
    d2l_fashion_mnist,
    d2l_nin,
    d2l_vgg11,
    fashion_mnist,
    finetune,
    mnist_inception,
    mnist_residual,
    paper_imagenet,
)

RECIPES: dict[str, Recipe] = {
    "bn_imagenet": bn_imagenet.RECIPE,
    "d2l_alexnet": d2l_alexnet.RECIPE,
    "d2l_fashion_mnist": d2l_fashion_mnist.RECIPE,
    "d2l_nin": d2l_nin.RECIPE,
    "d2l_vgg11": d2l_vgg11.RECIPE,
    "fashion_mnist": fashion_mnist.RECIPE,
    "finetune": finetune.RECIPE,
    "mnist_inception": mnist_inception.RECIPE,
    "mnist_residual": mnist_residual.RECIPE,
    "paper_imagenet": paper_imagenet.RECIPE,
}
