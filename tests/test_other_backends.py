"""The factories and our layers give the same numbers on another Keras backend."""

import golden
import numpy as np
import pytest

from googlenet_keras import LocalResponseNormalization, create_model, model_record

# Every kind of layer that there is, each in some network.
NAMES = ["googlenet_bvlc", "googlenet_residual", "alexnet_caffe", "inception_resnet_v1", "inception_v2", "vgg11_bn"]
# Most of the time goes into compiling, and nothing is run twice: LLVM need not optimize.
XLA_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

pytestmark = pytest.mark.slow

OTHER = """
import sys
import numpy as np
import keras
assert keras.backend.backend() == "jax"
import jax
from googlenet_keras import LocalResponseNormalization, create_model, model_record

folder = sys.argv[1]
assert "tensorflow" not in sys.modules, "a network needs no TensorFlow"
images = np.load(f"{folder}/images.npy")
answers = {}
for name in sys.argv[2:]:
    heads = {"aux_heads": True} if model_record(name).aux_heads else {}
    model = create_model(name, input_shape=(75, 75, 3), classes=7, weights=f"{folder}/{name}.weights.h5", **heads)
    for head, answer in (model(images) if heads else {"predictions": model(images)}).items():
        answers[f"{name}/{head}"] = np.asarray(answer)

# One trains, through our layers' gradients; compiling the others adds minutes and shows no more.
model = create_model("googlenet_bvlc", input_shape=(65, 65, 3), classes=7, aux_heads=True)
model.compile("sgd", {head: "sparse_categorical_crossentropy" for head in model.output_names})
loss = model.train_on_batch(images[:, :65, :65], {head: np.zeros(2) for head in model.output_names})
assert np.isfinite(loss).all()
x = np.load(f"{folder}/x.npy")
layer = LocalResponseNormalization()
answers["lrn"] = np.asarray(layer(x))
answers["gradient"] = np.asarray(jax.grad(lambda x: (layer(x) ** 2).sum())(x))
np.savez(f"{folder}/answers.npz", **answers)
"""


def test_jax_gives_tensorflows_numbers(tmp_path, python):
    import tensorflow as tf

    images = golden.image((2, 75, 75, 3), 0)
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 3, 192)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "x.npy", x)
    expected = {}
    for name in NAMES:
        heads = {"aux_heads": True} if model_record(name).aux_heads else {}
        model = create_model(name, input_shape=(75, 75, 3), classes=7, **heads)
        model.save_weights(tmp_path / f"{name}.weights.h5")
        answers = model(images) if heads else {"predictions": model(images)}
        expected |= {f"{name}/{head}": np.asarray(answer) for head, answer in answers.items()}
    layer = LocalResponseNormalization()
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs) ** 2)
    expected |= {"lrn": layer(x), "gradient": tape.gradient(loss, inputs)}

    process = python("-c", OTHER, tmp_path, *NAMES, KERAS_BACKEND="jax", XLA_FLAGS=XLA_FLAGS)
    assert process.returncode == 0, f"{process.stderr}\nIs jax here? pip install '.[jax]'"
    with np.load(tmp_path / "answers.npz") as answers:
        assert set(answers.files) == set(expected)
        for key in answers.files:
            # float32 in another order of additions.
            np.testing.assert_allclose(
                answers[key], expected[key], rtol=0, atol=1e-5 * np.abs(expected[key]).max(), err_msg=key
            )
