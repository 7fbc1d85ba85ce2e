"""Verifies in a fresh process that an artifact gives the same outputs as its model for a photograph."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from googlenet_keras.images import Preprocessing, decode_image, fit_images

# Rear Admiral Grace Hopper, by James S. Davis, United States Navy, 1984: in the public domain as a work of the U.S.
# federal government (Wikimedia Commons, File:Grace_Hopper.jpg).
PHOTOGRAPH = "grace_hopper.jpg"
BATCH_SIZES = (1, 3)
# As a fraction of the largest output. float32 has 7 digits, and the order of additions changes the last.
TOLERANCE = 1e-5
# The same for each precision. float16 has 3 digits and bfloat16 has 2, of which a deep network loses some. int8 is
# verified with images that it was calibrated on, and judged by its accuracy; its tolerance only detects the file of a
# different network.
TOLERANCES = {"float32": TOLERANCE, "float16": 1e-2, "bfloat16": 5e-2, "int8": 0.5}


class FreshProcess:
    """A process without Keras that loads a SavedModel; it starts TensorFlow at once and waits for its inputs.

    Use it as a context manager: the process ends with the block.
    """

    def __enter__(self) -> "FreshProcess":
        script = Path(__file__).with_name("fresh_process.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def load(self, folder: Path) -> None:
        """Begins to load a SavedModel, without waiting for the end.

        Args:
            folder: The SavedModel.
        """
        assert self._process.stdin
        # If the process has died, `ask` reports the reason. The line is not buffered, because a line that could not be
        # written would stay in the buffer and raise the error again.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), f"{folder.absolute()}\n".encode())

    def ask(self, questions: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs the SavedModel on inputs; this can be called only once.

        Args:
            questions: The inputs ``{"signature/batch": input}``; strings are an array of bytes.

        Returns:
            The outputs ``{"signature/batch/output": array}``, and the times ``{"seconds/batch": array}``.

        Raises:
            RuntimeError: If the process fails; the message contains the last line of its error output.
        """
        with tempfile.TemporaryDirectory() as scratch:
            asked, answered = Path(scratch, "questions.npz"), Path(scratch, "answers.npz")
            np.savez(asked, **questions)  # type: ignore[arg-type]  # an array may have any name except allow_pickle
            _, said = self._process.communicate(f"{asked}\n{answered}\n")
            if self._process.returncode:
                last = (said.strip().splitlines() or [f"exit status {self._process.returncode}"])[-1]
                raise RuntimeError(f"The SavedModel failed in a fresh process: {last}")
            with np.load(answered) as answers:
                return {key: answers[key] for key in answers.files}


def questions_and_answers(
    served: keras.Model, preprocessing: Preprocessing
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the inputs of every signature for the photograph, and the model's own outputs for them.

    Args:
        served: The model that `serving_model` returns.
        preprocessing: The preprocessing that the network expects.

    Returns:
        The inputs ``{"signature/batch": input}`` and the outputs ``{"signature/batch/output": array}``.
    """
    height, width, channels = served.input.shape[1:]
    encoded = resources.files("googlenet_keras").joinpath("assets", PHOTOGRAPH).read_bytes()
    photograph = decode_image(encoded, channels).numpy()
    questions, answers = {}, {}

    def model_says(pixels: list[np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the model's own outputs for images of any size, without the SavedModel's graph."""
        fitted = [fit_images(image[np.newaxis], (height, width), preprocessing.crop_fraction) for image in pixels]
        images = preprocessing(np.concatenate(fitted))
        return {"images": images, **{name: np.asarray(said) for name, said in served(images, training=False).items()}}

    def ask(signature: str, question: np.ndarray, said: dict[str, np.ndarray]) -> None:
        key = f"{signature}/{len(question)}"
        questions[key] = question
        outputs = {"features"} if signature == "features" else set(said) - {"features", "images"}
        answers.update({f"{key}/{output}": said[output] for output in outputs})

    for batch_size in BATCH_SIZES:
        # The larger batch has other pixels and another size: a part of the photograph, mirrored, and darkened.
        first = photograph if batch_size == 1 else photograph[60:510, 90:410]
        images = [first, first[:, ::-1], first // 2][:batch_size]
        said = model_says(images)
        ask("serving_default", said["images"], said)
        ask("features", said["images"], said)
        ask("serve_images", np.stack(images), said)
        files = [encoded, *(tf.io.encode_png(image).numpy() for image in images[1:])]
        ask("serve_bytes", np.array(files), model_says([photograph, *images[1:]]) if batch_size > 1 else said)
    return questions, answers


def questions_about(
    served: keras.Model, images: Sequence[np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the same as `questions_and_answers`, but for given images and ``serving_default`` only.

    Args:
        served: The model that `serving_model` returns.
        images: Preprocessed float32 images, each of shape (1, height, width, channels); the last few are used.
    """
    questions: dict[str, np.ndarray] = {}
    answers: dict[str, np.ndarray] = {}
    for size in BATCH_SIZES:
        batch = np.concatenate(images[-size:])
        questions[f"serving_default/{len(batch)}"] = batch
        said = served(batch, training=False)
        answers |= {f"serving_default/{len(batch)}/{name}": np.asarray(answer) for name, answer in said.items()}
    return questions, answers


def timings(received: dict[str, np.ndarray]) -> dict[str, object]:
    """Returns the median seconds of a call by batch size, as the process measured them, for the card.

    Args:
        received: The outputs that `FreshProcess.ask` returned.
    """
    own = {key.partition("/")[2]: float(value) for key, value in received.items() if key.startswith("seconds/")}
    return {"seconds": own}


def verify_artifact(
    artifact: Path, questions: dict[str, np.ndarray], expected: dict[str, np.ndarray], precision: str
) -> dict[str, object]:
    """Runs a file of another runtime in a fresh process, and compares its outputs with those of the model.

    Args:
        artifact: An ``.onnx``, ``.tflite`` or ``.xml`` file.
        questions: The inputs; see `questions_and_answers`.
        expected: The model's outputs; see `questions_and_answers`.
        precision: A key of `TOLERANCES`.

    Returns:
        Facts for the card: ``largest_difference``, ``seconds`` by batch size, ``first_answer`` in seconds from the
        start of the process, ``peak_memory``, and ``bytes`` on the disk.

    Raises:
        RuntimeError: If the process fails, or an output is missing, has another shape, or differs by more than the
            tolerance.
    """
    asked = {key.partition("/")[2]: images for key, images in questions.items() if key.startswith("serving_default/")}
    said = {
        key.partition("/")[2]: answer
        for key, answer in expected.items()
        if key.startswith(("serving_default/", "features/"))
    }
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, name) for name in ("questions.npz", "answers.npz")]
        np.savez(files[0], **asked)  # type: ignore[arg-type]  # an array may have any name except allow_pickle
        script = Path(__file__).with_name("artifact_process.py")
        process = subprocess.run(
            [sys.executable, "-P", str(script), str(artifact), *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
        )
        if process.returncode:
            last = (process.stderr.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
            raise RuntimeError(f"{artifact.name} failed in a fresh process: {last}")
        with np.load(files[1]) as answers:
            received = {key: answers[key] for key in answers.files}
    found = differences(said, received, tolerance=TOLERANCES[precision], what=artifact.name)
    sizes = [path.stat().st_size for path in (artifact, artifact.with_suffix(".bin")) if path.exists()]
    facts = json.loads(process.stdout.splitlines()[-1])
    return {"bytes": sum(sizes), "largest_difference": found, **facts}


def differences(
    expected: dict[str, np.ndarray],
    received: dict[str, np.ndarray],
    *,
    tolerance: float = TOLERANCE,
    what: str = "The SavedModel",
) -> dict[str, float]:
    """Returns the largest difference of each output, as a fraction of that output's largest expected value.

    Args:
        expected: The model's outputs ``{"signature/batch/output": array}``.
        received: The artifact's outputs, in the same form.
        tolerance: The largest difference that is allowed.
        what: The name of the artifact in messages.

    Returns:
        ``{"signature/batch/output": difference}``.

    Raises:
        RuntimeError: If an output is missing, has another shape, or differs by more than the tolerance.
    """
    result = {}
    for key, answer in expected.items():
        if key not in received or received[key].shape != answer.shape:
            shape = received[key].shape if key in received else "nothing"
            raise RuntimeError(f"{what} returns {shape} for {key}, where the model returns {answer.shape}")
        result[key] = float(np.abs(received[key] - answer).max() / np.abs(answer).max())
    worst = max(result, key=lambda key: result[key] if np.isfinite(result[key]) else np.inf)
    if not result[worst] <= tolerance:
        raise RuntimeError(
            f"{what} differs from the model in {worst}: by {result[worst]:.1e} of the largest output, "
            f"where {tolerance:.0e} is allowed"
        )
    return result
