"""Fine-tuning on fifty to five thousand photographs of your own, from published weights.

::

    python -m googlenet_keras.train --recipe finetune --dataset folder:PATH --output runs/mine

PATH holds a folder of images for each class, or folders ``train`` and ``val`` of these. ``--model inception_v3`` takes
another network's ImageNet weights, ``--weights FILE`` takes your own file, with its network and its input size.

First the new head learns alone, over features that do not move; then all layers learn, those before it at a tenth of
the rate. An epoch is 50 steps, 1,600 images, however many there are, so that fifty photographs get as many steps as
five thousand: 600, as BiT's HyperRule gives tasks of under 20,000 images 500 steps of SGD with momentum (arXiv
1912.11370, section 3.3). Not measured on photographs by this package's authors, who had no ImageNet weights at hand;
tests/benchmarks/finetuning.py measures the same two phases from Fashion-MNIST to handwritten digits.
"""

from googlenet_keras.training.recipe import Recipe

# Frozen for three epochs of twelve.
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
