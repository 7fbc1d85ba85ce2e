"""Fine-tunes published weights on fifty to five thousand of your own photographs.

::

    python -m googlenet_keras.train --recipe finetune --dataset folder:PATH --output runs/mine

PATH contains a folder of images for each class, or the folders ``train`` and ``val`` with such folders in them.
``--model inception_v3`` starts from the ImageNet weights of another network. ``--weights FILE`` starts from your own
file, with its network and input size.

At first only the new classifier is trained, on features that do not change. Then all layers are trained, with a tenth
of the learning rate for those before the classifier. An epoch always has 50 steps, which take 1,600 images, so that
fifty photographs get as many steps as five thousand: 600, similar to BiT's HyperRule, which gives tasks of fewer than
20,000 images 500 steps of SGD with momentum (arXiv 1912.11370, section 3.3). We have not measured the recipe on
photographs, because we had no ImageNet weights; tests/benchmarks/finetuning.py measures the same two phases, from
Fashion-MNIST weights to handwritten digits.
"""

from googlenet_keras.training.recipe import Recipe

# The layers before the top are frozen for three of the twelve epochs.
RECIPE = Recipe(
    model="googlenet_torchvision",
    weights="imagenet",
    dataset="folder:photographs",
    validation_split="validation",
    input_size=None,
    batch_size=32,
    epochs=12,
    steps_per_epoch=50,
    freeze="all-but-top",
    unfreeze_after=3,
    learning_rate=0.05,
    body_learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    schedule="cosine",
    warmup_epochs=1.0,
    weight_decay=1e-4,
    label_smoothing=0.1,
    average_decay=0.98,
    flip=0.5,
)
