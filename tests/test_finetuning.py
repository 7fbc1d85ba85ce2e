"""Tests trainings that start from weights: which layers are loaded, new or frozen, and that they can be resumed."""

import dataclasses
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from googlenet_keras import Card, create_model, load_recipe, model_record, read_card, save_weights, write_card
from googlenet_keras.commands import predict as predict_command, train as train_command
from googlenet_keras.data import open_dataset
from googlenet_keras.training import TrainingInterruptedError, loop, train
from googlenet_keras.training.loop import Training
from googlenet_keras.training.objective import create_optimizer
from googlenet_keras.training.parts import body_parts, frozen_layers, rate_factors
from googlenet_keras.training.rates import AdamWByVariable
from googlenet_keras.training.starting import settle_start, transfer

pytestmark = pytest.mark.usefixtures("read_once")
SAMPLE = "tests/data/fashion_mnist_sample"
CLASSES = ("one", "two", "three")
# The sample has 16 steps per epoch. Without normalization and dropout, they take a second or two.
SMALL = {
    "model": "mnist_inception",
    "input_size": 28,
    "dtype": "float32",
    "batch_size": 32,
    "epochs": 2,
    "learning_rate": 0.02,
    "momentum": 0.5,
}
# One step per epoch for a network with batch normalization; the `normalized` fixture adds the weights.
NORMALIZED = {
    "input_size": 32,
    "dtype": "float32",
    "batch_size": 8,
    "epochs": 2,
    "steps_per_epoch": 1,
    "validation_split": "test[:8]",
    "learning_rate": 0.02,
    "momentum": 0.5,
}


def recipe(changes):
    return load_recipe("d2l_fashion_mnist", **changes)


def run(folder, changes, *, resume=True, callbacks=()):
    """Trains on the sample."""
    return train(recipe(changes), folder, data_dir=SAMPLE, resume=resume, callbacks=callbacks)


def training(folder, changes, dataset=None):
    """Returns a training that has not started."""
    dataset = dataset or open_dataset("fashion_mnist", SAMPLE)
    return Training(recipe(changes), folder, dataset, tf.distribute.get_strategy())


def random_start(name):
    """Returns a start that knows only the network."""
    return settle_start(recipe({"model": name}))[1]


def arrays(model):
    """Returns the weights of every layer by the name of the layer."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def equal(one, other):
    return all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))


def save(path, model, name, labels, shape, **facts):
    """Writes a weight file with a card and returns its path."""
    card = Card(
        model=name, labels=labels, input_shape=shape, **{"preprocessing": model_record(name).preprocessing, **facts}
    )
    save_weights(model, path, card)
    return path


def randomized(model):
    """Gives a model other weights than a new one has, including moving moments and biases, and returns it."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        noise = (
            random.uniform(0.5, 1.5, variable.shape)
            if "variance" in variable.name
            else random.normal(size=variable.shape)
        )
        variable.assign(noise if len(variable.shape) == 1 else variable + 0.02 * noise)
    return model


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Returns a folder with small grayscale images of three classes."""
    folder = tmp_path_factory.mktemp("digits")
    random = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir()
        for index in range(12):
            image = random.integers(256, size=(28, 28, 1), dtype=np.uint8)
            keras.utils.save_img(folder / label / f"{index}.png", image, scale=False)
    return folder


@pytest.fixture(scope="module", params=[tiny.RECORD.name, pytest.param("googlenet_bn", marks=pytest.mark.slow)])
def normalized(request, tmp_path_factory, tiny):
    """Returns a recipe's changes that start from weights with batch normalization, and the name of the network."""
    if request.param != tiny:
        return {**NORMALIZED, "weights": "fashion_mnist"}, request.param
    labels = open_dataset("fashion_mnist", SAMPLE).label_names
    model = randomized(create_model(tiny))
    file = save(tmp_path_factory.mktemp("normalized") / "own.weights.h5", model, tiny, labels, (32, 32, 1))
    return {**NORMALIZED, "weights": str(file)}, tiny


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a weight file of the small network for the ten classes of the sample."""
    labels = open_dataset("fashion_mnist", SAMPLE).label_names
    model = randomized(create_model("mnist_inception"))
    return save(tmp_path_factory.mktemp("trained") / "own.weights.h5", model, "mnist_inception", labels, (28, 28, 1))


class Stop(keras.callbacks.Callback):
    """Sends SIGTERM to this process after a step."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at = (epoch, step)
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_the_same_classes_keep_their_head(tmp_path, trained, capsys):
    """A training that continues from a user's own weights must keep all of them, including the head."""
    changes = {**SMALL, "weights": str(trained), "learning_rate": 1e-12, "epochs": 1}
    before = arrays(create_model("mnist_inception", weights=trained))
    run(tmp_path, {**changes, "average_decay": 0.9})
    after = arrays(create_model("mnist_inception", weights=tmp_path / "model.weights.h5"))
    for name in before:
        for old, new in zip(before[name], after[name], strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-7)
    assert "New" not in capsys.readouterr().out


@pytest.mark.slow
def test_other_classes_get_a_new_head_and_the_model_of_the_card(tmp_path, trained, digits, capsys):
    """For a folder of three classes, the body comes from the file, the head is new, and the output says both."""
    changes = {key: value for key, value in SMALL.items() if key not in ("model", "input_size")}
    changes |= {"weights": str(trained), "dataset": f"folder:{digits}", "epochs": 1, "learning_rate": 1e-12}
    run(tmp_path, changes)
    said = capsys.readouterr().out
    assert f"Starts from the weights '{trained}' of mnist_inception\n" in said
    assert "New layers for the 3 classes of the dataset: predictions; the weights are for 10 other classes\n" in said
    before, model = arrays(create_model("mnist_inception", weights=trained)), tmp_path / "model.weights.h5"
    after = arrays(create_model("mnist_inception", weights=model))
    np.testing.assert_allclose(after["incep2_branch1x1"][0], before["incep2_branch1x1"][0], rtol=1e-6, atol=1e-7)
    assert after["predictions"][0].shape[-1] == len(CLASSES)
    card = read_card(model)
    assert (card.model, card.labels, card.recipe["weights"]) == (
        "mnist_inception",
        tuple(sorted(CLASSES)),
        str(trained),
    )


def test_as_many_classes_of_other_names_get_a_new_head(digits, tmp_path):
    """A head for three kinds of clothing must not be kept for three digits, although its shape fits."""
    labels = ("shirt", "shoe", "bag")
    model = randomized(create_model("mnist_inception", classes=3))
    file = save(tmp_path / "own.weights.h5", model, "mnist_inception", labels, (28, 28, 1))
    made = training(
        tmp_path / "run",
        {**SMALL, "weights": str(file), "dataset": f"folder:{digits}"},
        open_dataset(f"folder:{digits}"),
    )
    lines = made._start.load(made.state.model, made._dataset)
    assert "predictions; the weights are for 3 other classes" in lines[1]
    assert equal(arrays(made.state.model)["conv1"], arrays(model)["conv1"])
    assert not equal(arrays(made.state.model)["predictions"], arrays(model)["predictions"])


# BVLC's means differ by channel, and its convolutions have biases; torchvision's VGG has batch normalization too.
@pytest.mark.parametrize(
    "name", ["googlenet_bvlc", *(pytest.param(name, marks=pytest.mark.slow) for name in ("googlenet_bn", "vgg11_bn"))]
)
@pytest.mark.parametrize("channels", [(3, 1), (1, 3)], ids=["to grey", "to RGB"])
def test_other_channels_see_the_same(name, channels):
    """A grayscale image gives the same features after the first layer is changed to the other number of channels."""
    record = model_record(name)
    build = {"classes": 2, "dtype": "float32"}
    theirs = randomized(create_model(name, input_shape=(64, 64, channels[0]), **build))
    ours = create_model(name, input_shape=(64, 64, channels[1]), **build)
    (line,) = transfer(theirs, ours, random_start(name), ["cat", "dog"])
    assert "for grayscale images" in line if channels[1] == 1 else "repeated for 3 channels and divided by 3" in line
    grey = np.random.default_rng(1).integers(256, size=(1, 64, 64, 1)).astype("float32")
    seen = [record.preprocessing(np.repeat(grey, count, axis=-1)) for count in channels]
    first = next(layer.name for layer in ours.layers if layer.weights)
    end = f"{first}_bn" if f"{first}_bn" in {layer.name for layer in ours.layers} else first
    answers = [
        keras.ops.convert_to_numpy(keras.Model(model.input, model.get_layer(end).output)(images))
        for model, images in zip((theirs, ours), seen, strict=True)
    ]
    # If the means differ by channel, the zeros of the padding are not the same grey, so the borders may differ.
    inner = [answer[:, 3:-3, 3:-3] for answer in answers]
    np.testing.assert_allclose(inner[1], inner[0], rtol=1e-4, atol=1e-4 * np.abs(inner[0]).max())


@pytest.mark.slow
def test_a_separable_stem_cannot_be_folded():
    """A separable first layer cannot be changed to one channel, and the error says which images to give."""
    theirs = create_model("inception_v2", classes=2, input_shape=(64, 64, 3))
    ours = create_model("inception_v2", classes=2, input_shape=(64, 64, 1))
    before = ours.get_weights()
    with pytest.raises(
        ValueError, match=r"conv1_7x7, cannot be changed from 3 channels to 1: give images with 3 channels"
    ):
        transfer(theirs, ours, random_start("inception_v2"), ["cat", "dog"])
    assert equal(ours.get_weights(), before)


def test_weights_for_another_input_size_are_refused():
    """A dense layer on a flattened feature map fits one input size only; it must not silently stay random."""
    theirs = create_model("mnist_inception", input_shape=(28, 28, 1))
    ours = create_model("mnist_inception", input_shape=(40, 40, 1))
    ours_too = create_model("mnist_inception", input_shape=(40, 40, 1), classes=3)
    for model, labels in ((ours, [str(digit) for digit in range(10)]), (ours_too, ["a", "b", "c"])):
        with pytest.raises(ValueError, match=r"The layer predictions has the shapes .*: give --input-size"):
            transfer(theirs, model, random_start("mnist_inception"), labels)


@pytest.mark.parametrize("whole", [False, True], ids=["weights without a card", "a .keras file"])
def test_files_without_a_card(tmp_path, digits, whole, tiny):
    """Training can start from files that Keras saved if the network is named; the file shows classes and channels."""
    model = randomized(create_model(tiny, input_shape=(32, 32, 3), classes=7))
    file = tmp_path / ("own.keras" if whole else "own.weights.h5")
    model.save(file) if whole else model.save_weights(file)
    changes = {**NORMALIZED, "model": tiny, "weights": str(file), "validation_split": "test"}
    made = training(tmp_path / "run", changes, open_dataset(f"folder:{digits}"))
    lines = made._start.load(made.state.model, made._dataset)
    assert [line[:10] for line in lines] == ["Starts fro", "New layers", "conv1: its"]
    assert equal(arrays(made.state.model)["mixed_3x3"], arrays(model)["mixed_3x3"])


def test_a_body_without_a_top_is_a_start(tmp_path, digits, tiny):
    """Training can start from the weights of a network without its top."""
    model = randomized(create_model(tiny, input_shape=(32, 32, 1), include_top=False))
    model.save_weights(tmp_path / "body.weights.h5")
    file = tmp_path / "body.weights.h5"
    changes = {**NORMALIZED, "model": tiny, "weights": str(file), "validation_split": "test"}
    made = training(tmp_path / "run", changes, open_dataset(f"folder:{digits}"))
    lines = made._start.load(made.state.model, made._dataset)
    assert lines[1:] == ["New layers for the 3 classes of the dataset: predictions; the weights have no such layers"]
    assert equal(arrays(made.state.model)["mixed_3x3"], arrays(model)["mixed_3x3"])


def test_a_published_body_is_a_start(tmp_path, digits, tiny):
    """The card of a body names the network but no classes, as that of VGGFace2; its channels are changed as usual."""
    model = randomized(create_model(tiny, input_shape=(32, 32, 3), include_top=False))
    arguments = {"include_top": False, "pooling": "avg"}
    file = save(tmp_path / "body.weights.h5", model, tiny, (), (48, 48, 3), arguments=arguments)
    changes = {**NORMALIZED, "weights": str(file), "input_size": None, "validation_split": "test"}
    made = training(tmp_path / "run", changes, open_dataset(f"folder:{digits}"))
    assert (made.recipe.model, made.recipe.input_size) == (tiny, 48)
    lines = made._start.load(made.state.model, made._dataset)
    assert [line[:10] for line in lines] == ["Starts fro", "New layers", "conv1: its"]
    assert equal(arrays(made.state.model)["mixed_3x3"], arrays(model)["mixed_3x3"])
    with pytest.raises(ValueError, match=r"belong to tiny: build that network\. Received: vgg16"):
        settle_start(recipe({**changes, "model": "vgg16"}))


@pytest.mark.slow
def test_the_preprocessing_is_the_files(tmp_path, trained):
    """Weights that were trained on pixels in [-1, 1] are trained further on that range, and the new card says so."""
    other = dataclasses.replace(model_record("mnist_inception").preprocessing, mean=(127.5,) * 3, scale=1 / 127.5)
    file = tmp_path / "own.weights.h5"
    file.write_bytes(trained.read_bytes())
    write_card(file, dataclasses.replace(read_card(file), preprocessing=other))
    changes = {**SMALL, "weights": str(file), "epochs": 1, "steps_per_epoch": 1, "validation_split": "test[:8]"}
    images = next(training(tmp_path / "run", changes).feed(training=True))["image"].numpy()
    assert images.min() == -1
    run(tmp_path / "run", changes)
    assert read_card(tmp_path / "run" / "model.weights.h5").preprocessing == other


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--weights", "fashion_mnist", "--model", "googlenet_slim"],
            "belong to another network: build googlenet_bn",
        ),
        (["--weights", "imagenet"], "Several networks have weights of that name, so say which (--model)"),
        (["--model", "auto"], "The network is unknown: give model or weights"),
        (
            ["--weights", "FILE", "--model", "mnist_residual"],
            "says model 'mnist_inception'; leave it out or give the same",
        ),
        (["--weights", "fashoin_mnist"], "the published weights are"),
        (["--weights", "none.weights.h5"], "There is no such weight file; check the path. Received: 'none.weights.h5'"),
        (["--weights", "FILE", "--unfreeze-after", "1"], "Nothing is frozen: give freeze as well"),
        (
            ["--weights", "FILE", "--freeze", "incep3"],
            "a stage (incep1, incep2) or a pattern of layer names, such as 'conv*'; did you mean incep2 or incep1?",
        ),
        (["--weights", "FILE", "--freeze", "*"], "Nothing is left to train: freeze fewer layers. Received: '*'"),
        (["--weights", "FILE", "--layer-decay", "0"], "layer_decay must be above 0"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, trained, capfd, flags, message):
    """A wrong flag leads to one line on stderr and exit status 2, before anything is trained."""
    flags = [str(trained) if flag == "FILE" else flag for flag in flags]
    common = ["--recipe", "d2l_fashion_mnist", "--input-size", "28", "--data-dir", SAMPLE]
    status = train_command.main([*common, "--output", str(tmp_path / "run"), *flags])
    error = [line for line in capfd.readouterr().err.splitlines() if line.startswith("python -m")]
    assert (status, len(error)) == (2, 1)
    assert message in error[0]


def test_the_command_says_what_it_starts_from(tmp_path, trained, capfd):
    """The command prints the network of the file, the weights that it starts from and how much is frozen."""
    flags = ["--weights", str(trained), "--epochs", "1", "--steps-per-epoch", "1", "--validation-split", "test[:8]"]
    common = ["--recipe", "d2l_fashion_mnist", "--input-size", "28", "--data-dir", SAMPLE, "--freeze", "incep1"]
    assert train_command.main([*common, "--output", str(tmp_path / "run"), *flags]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("Training mnist_inception on fashion_mnist, ")
    assert lines[1] == f"Starts from the weights '{trained}' of mnist_inception"
    assert lines[2] == "Frozen to the end: 8 of 17 layers with weights; the others have 77,934 of 97,298 parameters"


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_goes_on_as_if_it_had_never_stopped(tmp_path, trained, optimizer):
    """A training that is stopped before, at and after unfreezing must end with the weights of an undisturbed one."""
    changes = {**SMALL, "weights": str(trained), "freeze": "incep1", "unfreeze_after": 1, "optimizer": optimizer}
    changes |= {"average_decay": 0.9, "body_learning_rate": 0.5, "layer_decay": 0.7, "weight_decay": 1e-3}
    changes |= {"steps_per_epoch": 6, "validation_split": "test[:32]"}
    run(tmp_path / "undisturbed", changes)
    for at in [(0, 4), (1, 0), (1, 3)]:
        with pytest.raises(TrainingInterruptedError, match="everything is saved"):
            run(tmp_path / "stopped", changes, callbacks=[Stop(*at)])
    run(tmp_path / "stopped", changes)
    ends = [
        create_model("mnist_inception", weights=tmp_path / folder / "model.weights.h5")
        for folder in ("undisturbed", "stopped")
    ]
    assert equal(*(model.get_weights() for model in ends))


@pytest.mark.slow
def test_other_weights_are_another_training(tmp_path, trained):
    """A training continues with a copy of its weight file, but refuses another file under the same name."""
    file = tmp_path / "own.weights.h5"
    file.write_bytes(trained.read_bytes())
    changes = {**SMALL, "epochs": 1, "steps_per_epoch": 1, "validation_split": "test[:8]"}
    run(tmp_path / "run", {**changes, "weights": str(trained)})
    run(tmp_path / "run", {**changes, "weights": str(file)})
    write_card(file, dataclasses.replace(read_card(file), source="another"))
    with pytest.raises(
        ValueError, match=r"another training \(weights: 'of SHA-256 \w+' in the checkpoint, 'of SHA-256 \w+' now\)"
    ):
        run(tmp_path / "run", {**changes, "weights": str(file)})


def test_workers_with_different_weights_are_refused(tmp_path, trained, monkeypatch):
    """Workers with different weights would train different networks, and their summed gradients would fit none."""
    monkeypatch.setattr(loop, "all_have", lambda strategy, number: number != int(checksum[:8], 16))
    checksum = settle_start(recipe({**SMALL, "weights": str(trained)}))[1].checksum
    with pytest.raises(ValueError, match="would start from different weights: give all of them the same file"):
        training(tmp_path, {**SMALL, "weights": str(trained)})


class Recorder(keras.callbacks.Callback):
    """Keeps the weights of all layers before the training and after each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append(arrays(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(arrays(self.model))


@pytest.mark.parametrize(
    ("normalized", "optimizer"),
    [
        (tiny.RECORD.name, {}),
        pytest.param(tiny.RECORD.name, {"optimizer": "adamw", "weight_decay": 0.1}, marks=pytest.mark.slow),
        pytest.param(tiny.RECORD.name, {"optimizer": "muon"}, marks=pytest.mark.slow),
        pytest.param("googlenet_bn", {}, marks=pytest.mark.slow),
    ],
    indirect=["normalized"],
)
def test_frozen_layers_stay_as_they_are_until_they_are_not(tmp_path, normalized, optimizer):
    """Frozen layers must not change at all, despite moving moments and weight decay; once unfrozen, all learn."""
    recorder = Recorder()
    changes, name = normalized
    body = body_parts(create_model(name, weights=changes["weights"]), model_record(name))
    stages = list(body)
    last = "mixed" if "mixed" in stages else "inception_4e"
    changes = {**changes, "freeze": last, "unfreeze_after": 1, "average_decay": 0.5, **optimizer}
    run(tmp_path, changes, callbacks=[recorder])
    start, frozen, thawed = recorder.seen
    stays = {name for name in start if equal(start[name], frozen[name])}
    expected = {layer.name for stage in stages[: stages.index(last) + 1] for layer in body[stage] if layer.weights}
    assert stays == expected
    assert all(not equal(frozen[name], thawed[name]) for name in start)


@pytest.mark.slow
def test_the_average_of_a_frozen_body_is_the_body(tmp_path, normalized):
    """Averaging must not change a frozen body: the result of a linear probe has exactly the body it started from."""
    changes, name = normalized
    run(tmp_path, {**changes, "freeze": "all-but-top", "average_decay": 0.9})
    start = arrays(create_model(name, weights=changes["weights"], input_shape=(32, 32, 1)))
    end = arrays(create_model(name, weights=tmp_path / "model.weights.h5"))
    assert {name for name in start if not equal(start[name], end[name])} == {"predictions"}


def test_frozen_normalization_is_in_inference_mode(tmp_path, normalized):
    """A frozen body normalizes by its moving moments in training as in inference, not by the moments of the batch."""
    made = training(tmp_path, {**normalized[0], "freeze": "all-but-top", "dropout": 0.0})
    made._start.load(made.state.model, made._dataset)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 32, 32, 1)).astype("float32")
    model = made.state.model
    expected = model(images, training=False).numpy()
    assert not np.allclose(model(images, training=True), expected, atol=0.1)
    # The call above has changed the moving moments, so they are loaded again.
    made._start.load(model, made._dataset)
    made.state.freeze(True)
    np.testing.assert_allclose(model(images, training=True), expected, rtol=1e-4, atol=1e-4)
    made.state.freeze(False)
    assert not np.allclose(model(images, training=True), expected, atol=0.1)


PATTERNS = [
    ("googlenet_bn", "all-but-top", {"conv1_7x7", "inception_5b_pool_proj_bn"}, {"predictions"}),
    ("googlenet_bn", "inception_4e", {"conv2_3x3_bn", "inception_4e_5x5"}, {"inception_5a_1x1", "predictions"}),
    ("googlenet_bn", "conv2_3x3", {"conv1_7x7", "conv2_3x3", "conv2_3x3_bn"}, {"inception_3a_1x1"}),
    ("googlenet_bn", "conv2_3x3_relu", {"conv1_7x7", "conv2_3x3_bn"}, {"inception_3a_1x1"}),
    ("googlenet_bn", "*_bn", {"conv1_7x7_bn", "inception_5b_1x1_bn"}, {"conv1_7x7", "predictions"}),
    ("googlenet_bn", "inception_4e_1x1", {"inception_4e_1x1"}, {"inception_4e_1x1_bn", "conv1_7x7"}),
    ("vgg11", "all-but-top", {"block5_conv2"}, {"fc1", "predictions"}),
    pytest.param(
        *("inception_resnet_v2", "all-but-top", {"block8_10_conv", "conv_7b"}, {"predictions"}), marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(
    ("name", "pattern", "frozen", "free"), PATTERNS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_a_pattern_freezes(name, pattern, frozen, free, network):
    """The name of a stage or of its last layer freezes everything up to it; a pattern freezes the layers it matches."""
    shape = (75, 75, 3) if name.startswith("inception") else (32, 32, 3)
    model = network(name, input_shape=shape, classes=2)
    found = frozen_layers(dataclasses.replace(recipe(SMALL), freeze=pattern), model, model_record(name))
    names = {layer.name for layer in found}
    assert frozen <= names
    assert not free & names


def test_auxiliary_heads_are_part_of_the_top(tiny):
    """Auxiliary heads are new if the classes are new, so they must be trained with the top."""
    model = create_model(tiny, aux_heads=True)
    found = frozen_layers(dataclasses.replace(recipe(SMALL), freeze="all-but-top"), model, model_record(tiny))
    assert found
    assert not [layer.name for layer in found if layer.name.startswith("aux")]


def test_rates_fall_with_the_distance_from_the_top(network):
    """Every stage with weights lowers the learning rate once more; biases and normalizations follow their stage."""
    model = network("googlenet_bn", input_shape=(32, 32, 3), classes=2)
    changed = dataclasses.replace(recipe(SMALL), body_learning_rate=0.5, layer_decay=0.8)
    factors = rate_factors(changed, model, model_record("googlenet_bn"))
    owner = {id(variable): layer.name for layer in model.layers for variable in layer.trainable_variables}
    found = {}
    for variable, factor in zip(model.trainable_variables, factors, strict=True):
        found.setdefault(owner[id(variable)], set()).add(round(factor, 12))
    expected = {
        "predictions": 1,
        "inception_5b_1x1": 0.5 * 0.8,
        "inception_5b_1x1_bn": 0.5 * 0.8,
        "inception_5a_pool_proj": 0.5 * 0.8**2,
        "inception_3a_1x1": 0.5 * 0.8**9,
        "conv2_3x3_reduce": 0.5 * 0.8**10,
        "conv1_7x7": 0.5 * 0.8**11,
    }
    assert {name: found[name] for name in expected} == {name: {round(value, 12)} for name, value in expected.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_factor_is_a_learning_rate(optimizer, tiny):
    """A layer with a factor of one half learns as with half the learning rate, weight decay included."""
    ends = []
    for rate, factor in ((0.02, 0.5), (0.01, 1.0)):
        keras.utils.set_random_seed(0)
        model = create_model(tiny)
        changes = {**SMALL, "optimizer": optimizer, "learning_rate": rate, "weight_decay": 0.1}
        made = create_optimizer(recipe(changes), model, 1, factors=[factor] * len(model.trainable_variables))
        for seed in (1, 2):
            random = np.random.default_rng(seed)
            gradients = [tf.constant(random.normal(size=one.shape), "float32") for one in model.trainable_variables]
            made.apply(gradients, model.trainable_variables)
        ends.append(model.get_weights())
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_adam_counts_the_steps_of_what_joins_later():
    """The first steps of an unfrozen body must be as long as those of a new training, not seven times as long."""
    random = np.random.default_rng(0)
    start = random.normal(size=(3, 4)).astype("float32")
    gradients = [tf.constant(random.normal(size=(3, 4)), "float32") for _ in range(3)]
    options = {"learning_rate": 0.1, "factors": [1.0, 1.0], "decays": [0.0, 0.0]}
    variables = [keras.Variable(start) for _ in range(4)]
    late, new = AdamWByVariable(joins=[0, 20], **options), AdamWByVariable(joins=[0, 0], **options)
    late.build(variables[:2])
    new.build(variables[2:])
    for _ in range(20):
        late.apply(gradients[:1], variables[:1])
    for gradient in gradients:
        late.apply([gradient], variables[1:2])
        new.apply([gradient], variables[3:4])
    # In float32 the powers of the decay differ in their last digits.
    np.testing.assert_allclose(variables[1].numpy(), variables[3].numpy(), rtol=1e-4)


@pytest.mark.slow
def test_the_recipe_for_photographs(tmp_path, digits, capfd):
    """Fine-tuning needs only a folder and a weight file, and predict needs only the file that fine-tuning writes."""
    command = [
        "--recipe",
        "finetune",
        "--weights",
        "fashion_mnist",
        "--dataset",
        f"folder:{digits}",
        "--dtype",
        "float32",
    ]
    shorter = ["--epochs", "2", "--steps-per-epoch", "2", "--unfreeze-after", "1", "--input-size", "32"]
    assert train_command.main([*command, *shorter, "--output", str(tmp_path / "run")]) == 0
    file = tmp_path / "run" / "model.weights.h5"
    card = read_card(file)
    assert (card.model, card.input_shape, card.labels) == ("googlenet_bn", (32, 32, 1), tuple(sorted(CLASSES)))
    capfd.readouterr()
    assert predict_command.main(["--weights", str(file), str(digits / "two" / "0.png")]) == 0
    assert "two" in capfd.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("thawed", [False, True])
def test_fit_keeps_the_moments_of_frozen_normalization(thawed):
    """As the README promises for Keras's fit, ``trainable`` freezes a whole body or only its normalization layers."""
    shape = (32, 32, 1)
    body = create_model("googlenet_bn", weights="fashion_mnist", include_top=False, input_shape=shape, pooling="avg")
    body.trainable = False
    if thawed:
        for layer in body.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    model = keras.Sequential([body, keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy", jit_compile=False)
    before = arrays(body)
    model.fit(np.random.default_rng(0).uniform(-1, 1, (6, 32, 32, 1)), np.arange(6) % 3, verbose=0)
    after = arrays(body)
    assert all(equal(before[name], after[name]) for name in before if name.endswith("_bn"))
    assert all(equal(before[name], after[name]) is not thawed for name in before if not name.endswith("_bn"))
