"""Images arrive whole, in a known order, on every replica the same, and what is missing or broken is said."""

import functools
import gzip
import hashlib
import shutil
import socket
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import streamed
import tensorflow as tf
from PIL import Image

from googlenet_keras.commands import data as command
from googlenet_keras.data import (
    Augmentation,
    Batches,
    Timed,
    archives,
    builders,
    open_dataset,
    records,
    splits,
    trained_split,
)
from googlenet_keras.images import decode_image, fit_images

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
ALL = Augmentation(flip=0.5, shift=2, erase=0.5)
FORMATS = ["tfrecord", "array_record"]
# The quick suite reads from memory and from ArrayRecord files, whose records are found by number.
KINDS = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("large", "streamed", "tfrecord")]
KINDS += ["sample", "array_record"]


@pytest.fixture(scope="module")
def sample(root):
    """Real Fashion-MNIST, 512 and 128 images of it; each split is read once."""
    dataset = open_dataset("fashion_mnist", root / "tests" / "data" / "fashion_mnist_sample")
    dataset.split = functools.cache(dataset.split)
    return dataset


@pytest.fixture(scope="module")
def photograph(root):
    with Image.open(root / "googlenet_keras" / "assets" / "grace_hopper.jpg") as picture:
        return picture.convert("RGB")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory, photograph):
    """A folder of large images of several sizes, each of a brightness of its own: 12 to train, 5 to validate with."""
    path = tmp_path_factory.mktemp("photographs")
    for split, count in (("train", 12), ("validation", 5)):
        for i in range(count):
            folder = path / split / ("cat", "dog")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            picture = photograph.resize((150 + 7 * i, 180)).point(lambda v, i=i: v * (i + 1) // 16)
            picture.save(folder / (f"{i}.png" if i == 3 else f"{i}.JPEG"))
    return path


@pytest.fixture(scope="module")
def large(photographs):
    return open_dataset(f"folder:{photographs}")


@pytest.fixture(scope="module")
def tfrecord(tmp_path_factory):
    """Large images of several sizes in 19 TFRecord files each: 96 to train, 33 to validate with."""
    return prepared(tmp_path_factory, "tfrecord")


@pytest.fixture(scope="module")
def array_record(tmp_path_factory):
    """The same in ArrayRecord files."""
    return prepared(tmp_path_factory, "array_record")


def prepared(tmp_path_factory, file_format):
    folder = tmp_path_factory.mktemp(file_format)
    streamed.prepare(folder, file_format, files=19, examples={"train": 96, "validation": 33}, side=130)
    return open_dataset(streamed.NAME, folder)


def batches(split, **arguments):
    chosen = {"batch_size": 32, "input_size": 32, "preprocessing": lambda x: x, "training": True, **arguments}
    return Batches(split, **chosen)


def read(elements):
    return [{name: value.numpy() for name, value in element.items()} for element in elements]


def joined(elements, name):
    return np.concatenate([element[name] for element in elements])


def assert_same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_what_a_builder_knows(sample):
    assert (sample.name, sample.classes, sample.channels, sample.image_size) == ("fashion_mnist", 10, 1, (28, 28))
    assert sample.label_names[0] == "T-shirt/top"
    assert sample.label_names[9] == "Ankle boot"
    assert sample.split_names == ("train", "test")
    assert [sample.split(name).size for name in ("train", "test", "train[:90%]", "train[461:]+test")] == [
        512,
        128,
        461,
        51 + 128,
    ]
    assert {*sample.split("train").tensors["label"].numpy()} == {*range(10)}


@pytest.mark.parametrize(
    ("name", "classes", "brightness"),
    [
        ("train", [53, 56, 50, 52, 53, 51, 55, 49, 50, 43], 29159313),
        ("test", [12, 13, 17, 11, 12, 12, 10, 15, 16, 10], 7475913),
    ],
)
def test_the_sample_is_real(sample, name, classes, brightness):
    """Images of each class, and the sum of all pixels, as counted in the first part of Fashion-MNIST's own archives."""
    tensors = sample.split(name).tensors
    assert np.bincount(tensors["label"]).tolist() == classes
    assert tensors["image"].numpy().sum(dtype=int) == brightness


def test_validation_is_not_trained_on(sample):
    def images(name):
        return {image.tobytes() for image in sample.split(name).tensors["image"].numpy()}

    assert not images("train[:90%]") & images("train[90%:]")
    assert images("train[:90%]") | images("train[90%:]") == images("train")


@pytest.mark.parametrize("name", ["validation", "train[", "train[:0%]", "train[:9999]", ""])
@pytest.mark.parametrize("kind", ["sample", "large"])
def test_unknown_split(kind, name, request):
    with pytest.raises(ValueError, match=r"Received: '") as error:
        request.getfixturevalue(kind).split("nothing" if (kind, name) == ("large", "validation") else name)
    assert "\n" not in str(error.value)


def test_every_example_once_in_order(sample):
    split = sample.split("test")
    images = [example["image"] for example in split.images().as_numpy_iterator()]
    elements = read(batches(split, training=False, batch_size=50, input_size=28).epoch(0))
    assert [len(element["label"]) for element in elements] == [50, 50, 28]
    assert [element["count"] for element in elements] == [50, 50, 28]
    assert joined(elements, "weight").tolist() == [1] * 128
    np.testing.assert_array_equal(joined(elements, "image"), images)
    np.testing.assert_array_equal(joined(elements, "label"), split.tensors["label"])


def test_training_order(sample):
    """Shuffled anew in every epoch, no example twice, the last partial batch left out."""
    split = sample.split("train")
    pipeline = batches(split, batch_size=100, input_size=28)
    assert pipeline.steps == 5
    epochs = [joined(read(pipeline.epoch(epoch)), "image") for epoch in (0, 1, 0)]
    assert len(np.unique(epochs[0].reshape(500, -1), axis=0)) == 500
    assert (epochs[0] != epochs[1]).any()
    np.testing.assert_array_equal(epochs[0], epochs[2])
    other_seed = joined(read(batches(split, batch_size=100, input_size=28, seed=1).epoch(0)), "image")
    assert (epochs[0] != other_seed).any()


@pytest.mark.parametrize("kind", KINDS)
def test_any_step_without_its_predecessors(kind, request, monkeypatch):
    split, pipeline = training_pipeline(kind, request, monkeypatch)
    whole = read(pipeline.epoch(3))
    assert len(whole) == pipeline.steps == split.size // pipeline_batch(kind)
    assert_same(whole[1:], read(pipeline.epoch(3, first_step=1)))
    assert read(pipeline.epoch(3, first_step=pipeline.steps)) == []
    with pytest.raises(ValueError, match="steps in an epoch"):
        pipeline.epoch(3, first_step=pipeline.steps + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_replicas_see_what_one_would(kind, request, monkeypatch):
    """The same images, whoever shares them; batches that do not divide are split evenly."""
    _, alone = training_pipeline(kind, request, monkeypatch)
    _, first_two = training_pipeline(kind, request, monkeypatch, shards=(0, 1), shard_count=3)
    _, last = training_pipeline(kind, request, monkeypatch, shards=(2,), shard_count=3)
    whole, two, one = (read(pipeline.epoch(1)) for pipeline in (alone, first_two, last))
    assert len(two) == 2 * len(one) == 2 * len(whole)
    for step, element in enumerate(whole):
        parts = [*two[2 * step : 2 * step + 2], one[step]]
        sizes = [len(part["label"]) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        for name in ("image", "label", "weight"):
            np.testing.assert_array_equal(joined(parts, name), element[name])
        assert {float(part["count"]) for part in parts} == {float(element["count"])}


def pipeline_batch(kind):
    return 5 if kind == "large" else 20


def training_pipeline(kind, request, monkeypatch, **arguments):
    """Batches with every random change, of images in memory, of files, and of small images that memory cannot hold."""
    if kind == "streamed":
        monkeypatch.setattr(splits, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(records, "SHUFFLED_TOGETHER", 64)
    dataset = request.getfixturevalue("sample" if kind == "streamed" else kind)
    split = dataset.split("train" if kind == "large" else "train[:80]")
    changes = Augmentation(shift=2, erase=0.5, distort=True, random_interpolation=True)
    pipeline = batches(split, batch_size=pipeline_batch(kind), augmentation=changes, seed=7, **arguments)
    assert split.in_memory == (kind == "sample")
    return split, pipeline


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_of_several_passes(kind, request, monkeypatch):
    """Of a few images an epoch may be as long as of many: each pass is one over all of them, like none before it."""
    _, one_pass = training_pipeline(kind, request, monkeypatch)
    length = one_pass.steps
    _, pipeline = training_pipeline(kind, request, monkeypatch, steps=2 * length + 1)
    _, shorter = training_pipeline(kind, request, monkeypatch, steps=1)
    epochs = [read(pipeline.epoch(epoch)) for epoch in (0, 1)]
    assert [len(epoch) for epoch in epochs] == [pipeline.steps] * 2 == [2 * length + 1] * 2
    passes = [epoch[start : start + length] for epoch in epochs for start in (0, length, 2 * length)]
    for number, steps in enumerate(passes):
        assert_same(steps, read(one_pass.epoch(number))[: len(steps)])
    assert_same(epochs[1][length + 1 :], read(pipeline.epoch(1, first_step=length + 1)))
    assert_same(read(shorter.epoch(4)), read(one_pass.epoch(4))[:1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sample", "large"])
def test_mixed_and_changed_images_are_the_same_on_any_number_of_replicas(kind, request):
    """RandAugment, MixUp and CutMix too are functions of seed, epoch and step, whoever shares the batch."""
    split = request.getfixturevalue(kind).split("train")
    changes = Augmentation(rand_augment=0.3, mixup=0.4, cutmix=1.0)
    chosen = {"batch_size": 4, "steps": 2, "augmentation": changes, "input_size": 20, "seed": 3}
    whole = read(batches(split, **chosen).epoch(1))
    assert_same(whole, read(batches(split, **chosen).epoch(1)))
    assert_same(whole[1:], read(batches(split, **chosen).epoch(1, first_step=1)))
    parts = [read(batches(split, shards=(shard,), shard_count=2, **chosen).epoch(1)) for shard in range(2)]
    for name in ("image", "label", "target"):
        np.testing.assert_array_equal(
            joined(whole, name), joined([part[step] for step in range(2) for part in parts], name)
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_evaluation_over_replicas(kind, count, request, monkeypatch):
    """Every example once, whether or not the last batch has one for each replica; the rest has no weight."""
    if kind == "streamed":
        monkeypatch.setattr(splits, "MOST_IN_MEMORY", 0)
    dataset = request.getfixturevalue("sample" if kind == "streamed" else kind)
    split = dataset.split("test[:13]" if dataset.small else "validation")
    chosen = {"training": False, "batch_size": 4, "shard_count": count}
    parts = [read(batches(split, shards=(shard,), **chosen).epoch(0)) for shard in range(count)]
    steps = [[part[step] for part in parts] for step in range(len(parts[0]))]
    real = [joined(step, "weight") > 0 for step in steps]
    labels = np.concatenate([joined(step, "label")[mask] for step, mask in zip(steps, real, strict=True)])
    of_split = [example["label"] for example in split.images().as_numpy_iterator()]
    # Many files that can be read from the first record on only have another order, for each replica reads some.
    np.testing.assert_array_equal(*(map(sorted, (labels, of_split)) if kind == "tfrecord" else (labels, of_split)))
    assert all(mask.sum() == step[0]["count"] for step, mask in zip(steps, real, strict=True))
    assert len(real[-1]) == max(1, count)  # one example is left, and no replica goes without
    assert (real[-1]).tolist() == [True] + [False] * (count - 1)


def test_streamed_images_are_shuffled(sample, monkeypatch):
    in_memory = sample.split("train").tensors["image"].numpy()
    monkeypatch.setattr(splits, "MOST_IN_MEMORY", 0)
    tf.random.set_seed(1)
    ones = joined(read(batches(sample.split("train"), batch_size=512, input_size=28).epoch(0)), "image")
    tf.random.set_seed(2)  # of no influence
    others = joined(read(batches(sample.split("train"), batch_size=512, input_size=28).epoch(0)), "image")
    np.testing.assert_array_equal(ones, others)
    assert (ones != in_memory).any()
    np.testing.assert_array_equal(*(np.sort(x.reshape(512, -1).sum(axis=1)) for x in (ones, 1.0 * in_memory)))


def brightness(images):
    """A number for each image by which it can be told from the others."""
    return images.reshape(len(images), -1).astype("float64").sum(axis=1).tolist()


@pytest.mark.parametrize("kind", ["tfrecord", pytest.param("array_record", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "batch_size", [pytest.param(3, marks=pytest.mark.slow), 20, pytest.param(64, marks=pytest.mark.slow)]
)
def test_records_of_many_files_are_shuffled(kind, batch_size, request):
    """None twice, in every epoch in another order; that of ArrayRecord files is the one of images in memory."""
    split = request.getfixturevalue(kind).split("train[5:]+validation[:6]")
    stored = brightness(joined(read(batches(split, batch_size=1, training=False).epoch(0)), "image"))
    assert len(set(stored)) == split.size == 91 + 6
    pipeline = batches(split, batch_size=batch_size)
    epochs = [brightness(joined(read(pipeline.epoch(epoch)), "image")) for epoch in (0, 1)]
    for epoch, seen in enumerate(epochs):
        assert len(set(seen)) == len(seen) == split.size // batch_size * batch_size
        assert set(seen) <= set(stored)
        if kind == "array_record":
            assert seen == [stored[i] for i in splits.order(split.size, (0, epoch))[: len(seen)]]
    places = [[stored.index(one) for one in seen] for seen in epochs]
    # Of two orders that have nothing to do with each other; six standard errors of 64 pairs are 0.75.
    for one, another in (places, (places[0], sorted(places[0]))):
        assert abs(np.corrcoef(one[:64], another[:64])[0, 1]) < 0.75


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the bytes that a process reads")
@pytest.mark.slow
@pytest.mark.parametrize(("file_format", "surplus"), [("tfrecord", 0.3), ("array_record", 0.05)])
def test_a_worker_reads_its_share(file_format, surplus, tmp_path):
    """Of two workers each reads half of the bytes, of four a quarter, and the steps are the same.

    A group of TFRecord files begins and ends within a file, which here is a quarter of the group.
    """
    streamed.prepare(tmp_path, file_format)
    split = open_dataset(streamed.NAME, tmp_path).split("train")

    def epoch(shard, count):
        pipeline = batches(split, shards=(shard,), shard_count=count, seed=3)
        before = streamed.bytes_read()
        return read(pipeline.epoch(1)), streamed.bytes_read() - before

    epoch(0, 1)  # what is read once only
    whole, most = epoch(0, 1)
    for count in (2, 4):
        parts, sizes = zip(*(epoch(shard, count) for shard in range(count)), strict=True)
        for size in sizes:
            assert 0.8 / count < size / most < (1 + surplus) / count
        for step, element in enumerate(whole):
            for name in ("image", "label"):
                np.testing.assert_array_equal(joined([part[step] for part in parts], name), element[name])


def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    """In a line that says what helps: another format, or the package that reads this one."""
    folder = streamed.prepare(tmp_path, "array_record", files=1, examples={"train": 3})
    with monkeypatch.context() as patch:
        patch.setattr(builders.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ValueError, match=r"pip install 'googlenet-keras\[array_record\]'\. Received: ") as error:
            open_dataset(streamed.NAME, tmp_path)
    assert "\n" not in str(error.value)
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "parquet"))
    with pytest.raises(ValueError, match=r"must be array_record or tfrecord: .*--file_format=array_record") as error:
        open_dataset(streamed.NAME, tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["sample", "large"])
def test_an_epoch_ends_without_a_wait(kind, request):
    """A pipeline that tunes itself may keep all workers waiting at an epoch's end, for up to a minute."""
    split = request.getfixturevalue(kind).split("train")
    for pipeline in (batches(split).epoch(0), batches(split).epoch(0).take(1), split.images().batch(1)):
        assert pipeline.options().autotune.enabled is False
        assert pipeline.options().deterministic is True


def test_a_small_split_is_one_batch(sample):
    (element,) = read(batches(sample.split("train[:7]"), augmentation=ALL).epoch(0))
    assert element["image"].shape == (7, 32, 32, 1)
    assert element["count"] == 7


def test_shape_dtype_and_preprocessing(sample, large):
    for split, channels, count in (
        (sample.split("train"), 3, 32),
        (sample.split("train"), None, 32),
        (large.split("train"), 1, 12),
    ):
        pipeline = batches(split, channels=channels, preprocessing=lambda x: x / 255)
        spec = pipeline.epoch(0).element_spec
        shape = (count, 32, 32, channels or split.dataset.channels)
        assert spec["image"] == tf.TensorSpec(shape, tf.float32)
        assert (spec["label"].dtype, spec["weight"].dtype, spec["count"].dtype) == (tf.int32, tf.float32, tf.float32)
        image = next(iter(pipeline.epoch(0)))["image"].numpy()
        assert image.min() >= 0
        assert 0.5 < image.max() <= 1
        if split.dataset.channels == 1 and channels == 3:
            np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_training_and_evaluation_resize_the_same_way(sample):
    """And as an exported model does, to the rounding of float32."""
    chosen = {"batch_size": 64, "input_size": 96}
    split = sample.split("test[:64]")
    (evaluated,) = read(batches(split, training=False, **chosen).epoch(0))
    for unchanged in (None, Augmentation(flip=0)):
        (trained,) = read(batches(split, augmentation=unchanged, **chosen).epoch(0))
        places = splits.order(64, (0, 0))
        np.testing.assert_array_equal(trained["image"], evaluated["image"][places])
    exported = tf.image.resize(split.tensors["image"], (96, 96), antialias=True)
    np.testing.assert_allclose(evaluated["image"], exported, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "^batch_size must be at least the number of replicas, 1. Received: 0$"),
        ({"input_size": 0}, "^input_size must be at least 1. Received: 0$"),
        ({"seed": -1}, "^seed must be at least 0. Received: -1$"),
        ({"channels": 4}, "^channels must be 1 or 3. Received: 4$"),
        ({"shards": (1,)}, "^shards must be indices"),
        ({"shards": (1, 0), "shard_count": 2}, "^shards must be indices"),
        ({"shards": ()}, "^shards must be indices"),
        ({"shard_count": 64}, "^batch_size must be at least the number of replicas, 64. Received: "),
        ({"training": False, "steps": 3}, "^steps must be above 0, and can be given for training only. Received: 3$"),
        ({"steps": 0}, "^steps must be above 0"),
        ({"augmentation": Augmentation(mixup=1), "shard_count": 3}, "^mixup and cutmix mix .* multiple of 6"),
        ({"training": False, "augmentation": ALL}, "^augmentation can be given for training only. Received: "),
    ],
)
def test_wrong_arguments(sample, arguments, message):
    """The message names the one argument that is wrong, and no other."""
    with pytest.raises(ValueError, match=message):
        batches(sample.split("test"), **arguments)


def test_wrong_augmentations():
    for wrong in ({"flip": 2}, {"erase": -0.1}, {"shift": -1}, {"rand_augment": 2}, {"mixup": -1}, {"cutmix": -1}):
        with pytest.raises(ValueError, match="Received: "):
            Augmentation(**wrong)


def change(augmentation, images, seed=0):
    places = tf.range(len(images))
    return augmentation.change_batch(tf.constant(images), places, len(images), tf.constant([0, seed], tf.int64)).numpy()


@pytest.fixture
def noise():
    """300 images of 12x9 pixels, none of them black."""
    return np.random.default_rng(0).integers(1, 256, (300, 12, 9, 3)).astype("uint8")


def test_flip(noise):
    np.testing.assert_array_equal(change(Augmentation(flip=1), noise), noise[:, :, ::-1])
    np.testing.assert_array_equal(change(Augmentation(flip=0), noise), noise)
    changed = change(Augmentation(flip=0.5), noise)
    flipped = (changed == noise[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (changed[~flipped] == noise[~flipped]).all()
    assert 110 < flipped.sum() < 190


@pytest.mark.parametrize("flip", [0, 1])
def test_shift_is_by_whole_pixels_with_black_behind(noise, flip):
    shifts = {}
    padded = np.pad(noise[:, :, ::-1] if flip else noise, [(0, 0), (2, 2), (2, 2), (0, 0)])
    changed = change(Augmentation(flip=flip, shift=2), noise)
    for i in range(len(noise)):
        (place,) = [
            (dy, dx) for dy in range(5) for dx in range(5) if (padded[i, dy : dy + 12, dx : dx + 9] == changed[i]).all()
        ]
        shifts[place] = shifts.get(place, 0) + 1
    assert len(shifts) == 25
    assert max(shifts.values()) < 30  # 12 expected of each


def test_erased_rectangles():
    black = np.zeros((400, 28, 28, 1), "uint8")
    changed = change(Augmentation(flip=0, erase=0.5), black)[..., 0] > 0
    erased = changed.any(axis=(1, 2))
    assert 160 < erased.sum() < 240
    areas, aspects = [], []
    for mask in changed[erased]:
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        areas.append(height * width / 784)
        aspects.append(height / width)
        assert mask.sum() > 0.9 * height * width  # noise is black in one pixel of 256
    # Sides are rounded to whole pixels.
    assert 0.01 < min(areas) < 0.05
    assert 0.28 < max(areas) < 0.36
    assert min(aspects) < 0.6
    assert 1.8 < max(aspects) < 4.2


def mixed(augmentation, count=500):
    """Images of their numbers and their targets, mixed; and the shares of the images' own targets."""
    images = np.broadcast_to(np.arange(1.0, count + 1)[:, None, None, None], (count, 12, 9, 3)).astype("float32")
    targets, places = tf.eye(count), tf.range(count, dtype=tf.int64)
    images, targets = augmentation.mix(tf.constant(images), targets, places, count, tf.constant([0, 1], tf.int64))
    return images.numpy(), targets.numpy(), np.diag(targets)


def test_mixup_mixes_neighbours_and_their_labels_alike():
    """Shares follow the Beta distribution, and the image has as much of its neighbour as the label."""
    images, targets, share = mixed(Augmentation(mixup=0.4))
    neighbour = np.arange(500) ^ 1
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(targets[np.arange(500), neighbour], 1 - share, atol=1e-6)
    expected = share * np.arange(1, 501) + (1 - share) * (neighbour + 1)
    np.testing.assert_allclose(images[:, 3, 4, 0], expected, rtol=1e-5)
    assert (images == images[:, :1, :1, :1]).all()
    # Of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)); three standard errors of 500 draws.
    assert share.mean() == pytest.approx(0.5, abs=3 * 0.37 / 500**0.5)
    assert share.var() == pytest.approx(1 / (4 * 1.8), rel=0.15)


def test_cutmix_cuts_one_rectangle_of_the_neighbour():
    """The label has the neighbour's share of the pixels, to the pixel."""
    images, targets, share = mixed(Augmentation(cutmix=1.0))
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    other = images[..., 0] == (np.arange(500) ^ 1)[:, None, None] + 1
    assert ((images[..., 0] == np.arange(1, 501)[:, None, None]) | other).all()
    np.testing.assert_allclose(1 - other.mean(axis=(1, 2)), share, atol=1e-6)
    rows, columns = other.any(axis=2), other.any(axis=1)
    np.testing.assert_array_equal(other, rows[:, :, None] & columns[:, None, :])
    assert len(np.unique(share)) > 15
    assert share.mean() == pytest.approx(0.5, abs=0.05)


def test_both_mixtures_are_drawn_and_an_odd_image_stays():
    """With both, each image goes one way; the last of an odd batch has no neighbour."""
    images, targets, _ = mixed(Augmentation(mixup=1.0, cutmix=1.0), 501)
    whole = (images == images[:, :1, :1, :1]).all(axis=(1, 2, 3))
    assert 200 < whole.sum() < 320
    assert targets[500, 500] == 1
    assert (images[500] == 501).all()


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_rand_augment_is_keras_own_and_of_each_image(channels):
    """Every image is changed in another way, none beyond its range, by draws that follow from its place alone."""
    images = np.random.default_rng(0).integers(256, size=(1, 20, 20, channels)).astype("uint8").repeat(12, axis=0)
    changed = change(Augmentation(flip=0, rand_augment=0.3), images)
    assert changed.dtype == np.uint8
    assert len({image.tobytes() for image in changed}) > 6
    np.testing.assert_array_equal(changed, change(Augmentation(flip=0, rand_augment=0.3), images))
    assert (changed != change(Augmentation(flip=0, rand_augment=0.3), images, seed=1)).any()


def test_random_crops(photograph):
    """Share and shape of the crops, read off an image whose red and green are its coordinates."""
    height, width = 300, 400
    y, x = np.mgrid[:height, :width]
    picture = np.stack([y / height * 255, x / width * 255, 0 * x], axis=-1).round().astype("uint8")
    encoded = tf.io.encode_png(picture)
    seen = []
    for seed in range(60):
        crop = Augmentation(flip=0).crop(encoded, 64, 3, tf.constant([1, seed], tf.int64)).numpy()
        tall, wide = (np.ptp(crop[..., i]) / 255 * 64 / 63 * side for i, side in enumerate((height, width)))
        seen.append((tall * wide / (height * width), wide / tall))
    areas, aspects = np.array(seen).T
    assert 0.07 < areas.min() < 0.3
    assert 0.7 < areas.max() < 1.02
    assert 0.73 < aspects.min() < 0.85
    assert 1.15 < aspects.max() < 1.37


def test_evaluation_crop_is_the_middle():
    y, x = np.mgrid[:256, :512]
    picture = np.stack([y, x // 2, 0 * x], axis=-1).astype("uint8")
    for encoded in (tf.io.encode_png(picture), tf.io.encode_jpeg(picture, quality=100)):
        crop = fit_images(decode_image(encoded, 3)[tf.newaxis], (56, 56), 224 / 256)[0].numpy()
        assert crop.shape == (56, 56, 3)
        np.testing.assert_allclose(crop[[0, -1], 28, 0], [16 + 1.5, 256 - 16 - 2.5], atol=2)
        np.testing.assert_allclose(crop[28, [0, -1], 1], [(144 + 1.5) / 2, (512 - 144 - 2.5) / 2], atol=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_changed_in_every_way(photograph, channels):
    picture = np.array(photograph.resize((120, 150)))
    encoded = tf.io.encode_png(picture if channels == 3 else picture[..., :1])

    def crop(seed=5, **fields):
        fields = {"flip": 0, **fields}
        return Augmentation(**fields).crop(encoded, 64, channels, tf.constant([0, seed], tf.int64)).numpy()

    plain = crop()
    np.testing.assert_array_equal(crop(flip=1), plain[:, ::-1])
    distorted = crop(distort=True)
    assert np.abs(distorted - plain).mean() > 2
    assert distorted.min() >= 0
    assert distorted.max() <= 255
    ways = {(crop(seed, random_interpolation=True) - crop(seed)).tobytes() != bytes(64 * 64 * channels * 4)
            for seed in range(8)}  # fmt: skip
    assert ways == {True, False}


def test_folder(large, photographs):
    assert large.label_names == ("cat", "dog")
    assert (large.channels, large.image_size, large.split_names) == (3, None, ("train", "validation"))
    train = large.split("train")
    assert (train.size, train.bad) == (12, {})
    assert {image["label"] for image in train.images().as_numpy_iterator()} == {0, 1}
    (_, validation), (_, both) = ((name, large.split(name)) for name in ("validation", "train[:50%]+train[50%:]"))
    assert (validation.size, both.size) == (5, 12)


def test_folder_without_splits_holds_a_tenth_of_each_class_out(photograph, tmp_path):
    """Which images these are does not depend on the folder's place, nor much on what else is in it."""
    for label, count in (("cat", 20), ("dog", 12), ("emu", 1)):
        (tmp_path / "a" / label).mkdir(parents=True)
        for number in range(count):
            photograph.resize((30 + number, 30)).save(tmp_path / "a" / label / f"{number}.png")

    def held_out(path):
        dataset = open_dataset(f"folder:{path}")
        assert dataset.split_names == ("train", "test")
        train, test = ({*dataset.split(name)._paths} for name in ("train", "test"))
        assert not train & test
        return len(train), {file.removeprefix(str(path)) for file in test}

    size, files = held_out(tmp_path / "a")
    assert size == 33 - 3
    assert sorted(Path(file).parent.name for file in files) == ["cat", "cat", "dog"]
    (tmp_path / "a").rename(tmp_path / "b")
    assert held_out(tmp_path / "b") == (size, files)
    photograph.resize((30, 30)).save(tmp_path / "b" / "dog" / "one more.png")
    assert len(held_out(tmp_path / "b")[1] & files) >= 2


def test_what_a_training_is_measured_on(photograph, tmp_path):
    """Of folders train and val, or validation, or train alone, a user needs to say no more than the path."""
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(20):
                photograph.resize((30 + number, 30)).save(tmp_path / split / label / f"{number}.png")
    both = open_dataset(f"folder:{tmp_path}")
    assert [trained_split(both, wanted) for wanted in ("test", "validation", "val", "train[90%:]")] == [
        *("val", "val", "val", "train[90%:]")
    ]
    shutil.rmtree(tmp_path / "val")
    alone = open_dataset(f"folder:{tmp_path}")
    assert [trained_split(alone, wanted) for wanted in ("test", "validation")] == ["test", "test"]
    assert [alone.split(name).size for name in ("train", "test")] == [36, 4]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["cat"], "at least two classes"),
        (["cat", "cat "], "Two classes must not have the same name"),
        (["caf\u00e9", "cafe\u0301"], "Two classes must not have the same name"),
        (["cat", "d\nog"], "one line"),
    ],
)
def test_classes_that_cannot_be_told_apart(labels, message, photograph, tmp_path):
    for label in labels:
        (tmp_path / label).mkdir()
        photograph.resize((30, 30)).save(tmp_path / label / "1.png")
        photograph.resize((30, 30)).save(tmp_path / label / "2.png")
    with pytest.raises(ValueError, match=message):
        open_dataset(f"folder:{tmp_path}")


def test_folder_of_small_images(tmp_path, sample):
    """Grey images of one small size are what they would be in a prepared dataset: whole, in memory."""
    images, labels = (sample.split("test[:20]").tensors[name].numpy() for name in ("image", "label"))
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / str(label)
        folder.mkdir(exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / f"{i}.png")
    dataset = open_dataset(f"folder:{tmp_path}")
    assert (dataset.channels, dataset.image_size) == (1, (28, 28))
    split = dataset.split("train+test")
    assert split.in_memory
    assert {image.tobytes() for image in split.tensors["image"].numpy()} == {image.tobytes() for image in images}


def test_broken_images_are_named_and_left_out(photographs, tmp_path, capsys):
    folder = tmp_path / "folder"
    shutil.copytree(photographs / "train", folder)
    whole = (folder / "cat" / "0.JPEG").read_bytes()
    broken = {folder / "cat" / "half.jpg": whole[: len(whole) // 2], folder / "dog" / "text.png": b"not an image"}
    for file, content in broken.items():
        file.write_bytes(content)
    split = open_dataset(f"folder:{folder}").split("train+test")
    assert set(split.bad) == set(map(str, broken))
    assert split.size == 12
    assert len(read(batches(split, training=False, batch_size=5).epoch(0))) == 3
    with pytest.raises(ValueError, match=r"2 images cannot be used, .*half\.jpg: not an image.*text\.png: not"):
        open_dataset(f"folder:{folder}", max_bad=1)
    assert command.main(["show", f"folder:{folder}"]) == 0
    output = capsys.readouterr().out
    for file in broken:
        assert f"{file}: not an image that can be read" in output
    assert command.main(["show", f"folder:{folder}", "--max-bad", "1"]) == 2


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ([], "no folder with a subfolder of images for each class"),
        (["cat"], "must contain images"),
        (["train/cat", "test/cat"], "must contain images"),
    ],
)
def test_empty_folders(tmp_path, folders, message):
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)
    with pytest.raises(ValueError, match=message):
        open_dataset(f"folder:{tmp_path}")
    with pytest.raises(ValueError, match="no folder"):
        open_dataset(f"folder:{tmp_path}/nowhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashion_mnist", "Run: python -m googlenet_keras.data prepare fashion_mnist --from DIR --data-dir"),
        ("cifar10", "Run: tfds build cifar10"),
        ("imagenet2012", "ILSVRC2012_img_train.tar.*Then run: tfds build imagenet2012 --manual_dir DIR"),
        ("no_such_dataset", "no such dataset"),
        ("coco", "must have one image and one label"),
    ],
)
def test_without_data_and_network(name, message, tmp_path, monkeypatch):
    """Asking for what cannot be had takes seconds, not TensorFlow Datasets' 204, even where the network swallows it."""
    monkeypatch.setattr(builders, "PROBE_SECONDS", 0.5)

    def swallow(*_, **__):
        time.sleep(60)
        raise OSError("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", swallow)
    start = time.monotonic()
    with pytest.raises(ValueError, match=message) as error:
        open_dataset(name, tmp_path)
    assert time.monotonic() - start < 9.5  # and the probe's full 5 seconds
    assert "\n" not in str(error.value)
    assert "Received" in str(error.value) or str(tmp_path) in str(error.value)


def idx(array):
    """As in Fashion-MNIST's archives: a magic number, the extents, the bytes."""
    return gzip.compress(struct.pack(f">{1 + array.ndim}i", 0x800 + array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def tiny_archives(tmp_path, monkeypatch):
    """Archives in Fashion-MNIST's form, of 20 and 10 made-up images."""
    import tensorflow_datasets.image_classification.mnist as theirs

    random = np.random.default_rng(0)
    folder = tmp_path / "archives"
    folder.mkdir()
    hashes = {}
    for name in archives.FASHION_MNIST:
        count = 20 if name.startswith("train") else 10
        content = random.integers(0, 256, (count, 28, 28)) if "images" in name else np.arange(count) % 10
        (folder / name).write_bytes(idx(content.astype("uint8")))
        hashes[name] = ("0" * 64, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    monkeypatch.setattr(archives, "FASHION_MNIST", hashes)
    monkeypatch.setattr(theirs, "_TRAIN_EXAMPLES", 20)
    monkeypatch.setattr(theirs, "_TEST_EXAMPLES", 10)
    return folder


def test_prepare(tiny_archives, tmp_path, capsys):
    import tensorflow_datasets as tfds

    arguments = ["prepare", "fashion_mnist", "--from", str(tiny_archives), "--data-dir", str(tmp_path / "data")]
    assert command.main(arguments) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"fashion_mnist is prepared: {tmp_path / 'data' / 'fashion_mnist' / '3.0.1'}"
    )
    # With nothing of ours.
    plain = tfds.load("fashion_mnist", data_dir=tmp_path / "data", download=False, split="train")
    assert len(plain) == 20
    dataset = open_dataset("fashion_mnist", tmp_path / "data")
    assert (dataset.split("train").size, dataset.split("test").size, dataset.classes) == (20, 10, 10)
    assert sorted(dataset.split("test").tensors["label"].numpy()) == list(range(10))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["fashion_mnist"]
    shutil.rmtree(tiny_archives)
    assert command.main(arguments) == 0
    assert "was prepared already" in capsys.readouterr().out


def test_prepare_as_array_record(tiny_archives, tmp_path, capsys):
    """The same images; and what is there in another format is not taken for it."""
    for file_format in FORMATS:
        folder = tmp_path / file_format
        arguments = ["prepare", "fashion_mnist", "--from", str(tiny_archives), "--data-dir", str(folder)]
        assert command.main([*arguments, "--file-format", file_format]) == 0
        assert len([*(folder / "fashion_mnist" / "3.0.1").glob(f"*.{file_format}-*")]) == 2
    one, other = (open_dataset("fashion_mnist", tmp_path / name).split("train").tensors for name in FORMATS)
    np.testing.assert_array_equal(one["image"], other["image"])
    np.testing.assert_array_equal(one["label"], other["label"])
    capsys.readouterr()
    assert command.main([*arguments, "--file-format", "tfrecord"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    message = "exists already in the format array_record: remove it, or choose another --data-dir. Received: 'tfrecord'"
    assert message in line


def test_prepare_names_the_archive_that_is_wrong(tiny_archives, tmp_path, capsys):
    arguments = ["prepare", "fashion_mnist", "--from", str(tiny_archives), "--data-dir", str(tmp_path / "data")]
    wrong = tiny_archives / "t10k-labels-idx1-ubyte.gz"
    wrong.write_bytes(b"damaged")
    received = hashlib.sha256(b"damaged").hexdigest()
    for change_file, message in ((lambda: None, f"Received: {received}"), (wrong.unlink, "No such file")):
        change_file()
        assert command.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(wrong) in line
        assert message in line
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("arguments", [[], ["prepare"], ["prepare", "mnist", "--from", "x"], ["show"]])
def test_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(arguments)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.exists(), reason="needs Debian's package dataset-fashion-mnist")
def test_prepare_from_debian(tmp_path):
    archives.prepare_fashion_mnist(DEBIAN, tmp_path)
    dataset = open_dataset("fashion_mnist", tmp_path)
    assert [dataset.split(name).size for name in ("train", "test")] == [60_000, 10_000]
    assert np.bincount(dataset.split("test").tensors["label"]).tolist() == [1000] * 10
    pipeline = Batches(
        dataset.split("train"),
        batch_size=128,
        input_size=28,
        preprocessing=lambda x: x,
        training=True,
        augmentation=ALL,
    )
    assert sum(len(element["label"]) for element in pipeline.epoch(0)) == 59_904


def test_waiting_is_timed():
    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    timed = Timed(slow())
    assert list(timed) == [0, 1, 2]
    assert 0.06 <= timed.seconds < 0.5
