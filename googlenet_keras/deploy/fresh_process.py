"""Runs a SavedModel on given inputs in a process that has TensorFlow but not Keras; run as a script.

The script reads three lines from the standard input, each when it needs it: the SavedModel's folder, the ``.npz`` file
of inputs, and the ``.npz`` file to write the outputs to. An input of a signature has the name ``SIGNATURE/BATCH``, and
its outputs have the names ``SIGNATURE/BATCH/OUTPUT``. In addition, ``seconds/BATCH`` is the median time that
``serving_default`` takes for a batch.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Where a SavedModel is served there may be no Keras, so an import of it must fail here.
sys.modules["keras"] = None  # type: ignore[assignment]  # a module that is None cannot be imported

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

tf.get_logger().setLevel("ERROR")

loaded = tf.saved_model.load(input())
questions_file, answers_file = input(), input()
answers = {}
with np.load(questions_file) as questions:
    for key in questions.files:
        signature = loaded.signatures[key.split("/")[0]]
        (name,) = signature.structured_input_signature[1]
        for output, answer in signature(**{name: tf.constant(questions[key])}).items():
            answers[f"{key}/{output}"] = answer.numpy()
        if key.startswith("serving_default/"):
            images = tf.constant(questions[key])
            seconds = []
            for _ in range(3):
                start = time.perf_counter()
                signature(**{name: images})["probabilities"].numpy()
                seconds.append(time.perf_counter() - start)
            answers[f"seconds/{len(images)}"] = np.array(statistics.median(seconds))
np.savez(answers_file, **answers)
os._exit(0)  # a normal exit waits for the shutdown of TensorFlow, which is slow
