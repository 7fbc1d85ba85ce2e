"""Opens artifacts in their runtimes: a SavedModel, or an ONNX, LiteRT or OpenVINO file, as a function of images.

A runtime is imported when one of its artifacts is opened, and nothing else is imported: a process that runs a LiteRT
file imports neither TensorFlow nor Keras.
"""

import importlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

# A function from preprocessed float32 images (batch, height, width, channels) to the named float32 outputs.
Answer = Callable[[np.ndarray], dict[str, np.ndarray]]

# The name under which an artifact stores its card, as JSON.
CARD = "googlenet_keras"
CARD_FILE = f"{CARD}.json"
# The extra and the module of each runtime, by the suffix of its files. A SavedModel is a folder, not a file.
EXTRAS: Mapping[str, tuple[str, str]] = {
    ".onnx": ("onnx", "onnxruntime"),
    ".xml": ("openvino", "openvino"),
    ".tflite": ("litert", "ai_edge_litert.interpreter"),
}


def is_artifact(path: str | Path) -> bool:
    """Returns whether a path is an artifact, by its suffix or, for a SavedModel, by the contents of the folder."""
    path = Path(path)
    return path.suffix in EXTRAS or (path / "saved_model.pb").is_file()


def open_artifact(path: str | Path, *, threads: int | None = None) -> Answer:
    """Opens an artifact in its runtime as a function of images.

    Args:
        path: A SavedModel's folder, or an ``.onnx``, ``.tflite`` or ``.xml`` file. An ``.xml`` file belongs to OpenVINO
            and needs its ``.bin`` file beside it.
        threads: The number of threads of the runtime; None means one for each core. TensorFlow's number can be set only
            once in a process.

    Returns:
        A function from preprocessed float32 images (batch, height, width, channels) to ``{output: float32 array}``.

    Raises:
        ValueError: If there is no such artifact, it is damaged, or its runtime is not installed; in the last case the
            message names the extra.
    """
    path = Path(path)
    if not is_artifact(path) or not path.exists():
        raise ValueError(
            "There is no such artifact: give a SavedModel's folder, or an .onnx, .tflite or .xml file that "
            f"googlenet_keras.export wrote. Received: {str(path)!r}"
        )
    openers: dict[str, Callable[[Path, int | None], Answer]] = {
        ".onnx": _open_onnx,
        ".xml": _open_openvino,
        ".tflite": _open_litert,
    }
    opener = openers.get(path.suffix, _open_saved_model)
    if path.suffix in EXTRAS:
        runtime(path.suffix)
    try:
        return opener(path, threads)
    except MemoryError:
        raise
    except Exception as error:  # each runtime raises exceptions of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"The artifact is damaged ({reason}). Received: {str(path)!r}") from None


def read_artifact_card(path: str | Path) -> dict[str, Any]:
    """Returns the card that is stored in an artifact, in the form that `googlenet_keras.Card.from_dict` takes.

    Args:
        path: See `open_artifact`.

    Raises:
        ValueError: If there is no such artifact, it is damaged or has no card, or its runtime is not installed.
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], str | bytes]] = {
        ".onnx": _card_of_onnx,
        ".xml": _card_of_openvino,
        ".tflite": _card_of_litert,
    }
    if path.suffix in EXTRAS:
        runtime(path.suffix)
    try:
        return json.loads(readers.get(path.suffix, _card_of_saved_model)(path))
    except Exception as error:  # each format raises exceptions of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"The artifact has no card of this package; make it with python -m googlenet_keras.export ({reason}). "
            f"Received: {str(path)!r}"
        ) from None


def since_start() -> float:
    """Returns the seconds since this process began, as Linux records it; elsewhere, `time.perf_counter()`."""
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return time.perf_counter()
    # Source: proc(5), field 22 of /proc/[pid]/stat.
    ticks = float(stat.read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def runtime(suffix: str) -> ModuleType:
    """Imports the module that runs one kind of artifact.

    Args:
        suffix: A key of `EXTRAS`.

    Raises:
        ValueError: If the module is not installed; the message names the extra.
    """
    extra, module = EXTRAS[suffix]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise ValueError(
            f"A {suffix} file needs {package}: pip install 'googlenet-keras[{extra}]'. Received: {error}"
        ) from None


def _open_saved_model(path: Path, threads: int | None) -> Answer:
    import tensorflow as tf

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    loaded = tf.saved_model.load(str(path))

    def ask() -> Callable[..., dict[str, Any]]:
        return loaded.signatures["serving_default"]

    (name,) = loaded.signatures["serving_default"].structured_input_signature[1]

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        # The signature is read from the loaded object each time, because that owns the variables and must stay alive.
        return {key: value.numpy() for key, value in ask()(**{name: tf.constant(images)}).items()}

    return answer


def _open_onnx(path: Path, threads: int | None) -> Answer:
    onnxruntime = runtime(".onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {argument.name: images}), strict=True))


def _open_openvino(path: Path, threads: int | None) -> Answer:
    openvino = runtime(".xml")
    settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    # The file states its precision. Without a hint, OpenVINO would use bfloat16 on processors that support it natively.
    core = openvino.Core()
    model = core.read_model(str(path))
    precision = "f32"
    if model.has_rt_info([CARD, "precision"]):
        precision = model.get_rt_info([CARD, "precision"]).astype(str)
    settings["INFERENCE_PRECISION_HINT"] = precision
    compiled = core.compile_model(model, "CPU", settings)
    names = [output.get_any_name() for output in compiled.outputs]

    def answer(images: np.ndarray) -> dict[str, np.ndarray]:
        answers = compiled(images)
        return {name: np.array(answers[number]) for number, name in enumerate(names)}

    return answer


def _open_litert(path: Path, threads: int | None) -> Answer:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    interpreter = runtime(".tflite").Interpreter(str(path), num_threads=threads or cores)
    run = interpreter.get_signature_runner("serving_default")
    (name,) = run.get_input_details()
    return lambda images: dict(run(**{name: images}))


def _card_of_saved_model(path: Path) -> str:
    return (path / "assets" / CARD_FILE).read_text(encoding="utf-8")


def _card_of_onnx(path: Path) -> str:
    session = runtime(".onnx").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.get_modelmeta().custom_metadata_map[CARD]


def _card_of_openvino(path: Path) -> str:
    return runtime(".xml").Core().read_model(str(path)).get_rt_info([CARD, "card"]).astype(str)


def _card_of_litert(path: Path) -> bytes:
    # As in LiteRT's metadata format, a zip archive follows the network in the file.
    with zipfile.ZipFile(path) as archive:
        return archive.read(CARD_FILE)
