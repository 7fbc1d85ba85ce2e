"""Answers questions to a SavedModel as a process that has TensorFlow and no Keras; run as a script.

Standard input holds three lines, each read once it is needed: the SavedModel's folder, the file of questions and the
file to put answers into, both ``.npz``. A question ``SIGNATURE/BATCH`` is the signature's input; its answers are
``SIGNATURE/BATCH/OUTPUT``. ``seconds/BATCH`` is the median time of
``serving_default`` for a batch.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# What is served elsewhere has no Keras: an import of it fails here.
sys.modules["keras"] = None  # type: ignore[assignment]  # a name that is None cannot be imported

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
os._exit(0)  # TensorFlow takes its time to say goodbye
