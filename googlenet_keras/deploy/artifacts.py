"""Writes networks as files of other runtimes: ONNX, LiteRT and OpenVINO, in float32 and in lower precisions.

Each file takes preprocessed float32 ``images`` (batch, height, width, channels), returns the outputs of `serving_model`
under the same names, and contains the network's `Card`.
"""

import contextlib
import importlib
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from googlenet_keras.deploy.runtimes import CARD, CARD_FILE, runtime
from googlenet_keras.silence import quiet_logger
from googlenet_keras.weights.cards import Card

# The names of the formats in `keras.Model.export`, and the suffixes of their files.
SUFFIXES = {"onnx": ".onnx", "litert": ".tflite", "openvino": ".xml"}
FORMATS = ("saved_model", *SUFFIXES)
# On CPUs, the convolutions of ONNX Runtime and LiteRT do not support bfloat16. A SavedModel has the model's dtype.
PRECISIONS = {
    "saved_model": ("float32",),
    "onnx": ("float32", "float16", "int8"),
    "litert": ("float32", "float16", "int8"),
    "openvino": ("float32", "bfloat16", "float16", "int8"),
}
# The packages that write the files, in addition to those that run them, by the extra that installs them.
_WRITERS = {"onnx": ("tf2onnx", "onnx"), "openvino": ("scipy",), "litert": ()}
_OPENVINO_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f32", "int8": "f32"}


def planned(formats: Sequence[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """Lists the artifacts to write as pairs of format and precision, after checking that their tools are installed.

    Args:
        formats: Some of `FORMATS`.
        precisions: Some of ``"float32"``, ``"bfloat16"``, ``"float16"`` and ``"int8"``. A format that supports none of
            them is written in float32.

    Raises:
        ValueError: If a format is unknown, one of the precisions is supported by none of the formats, or a package that
            writes or runs a format is not installed; in the last case the message names the extra.
    """
    for one in formats:
        if one not in FORMATS:
            raise ValueError(f"The format must be one of {', '.join(FORMATS)}. Received: {one!r}")
    for precision in precisions:
        able = [one for one, theirs in PRECISIONS.items() if precision in theirs]
        if not set(able) & set(formats):
            raise ValueError(
                f"{precision} needs a format that supports it ({', '.join(able) or 'no format does'}). "
                f"Received: {precision!r} for {', '.join(formats)}"
            )
    pairs = []
    for one in dict.fromkeys(formats):
        theirs = [precision for precision in dict.fromkeys(precisions) if precision in PRECISIONS[one]]
        pairs += [(one, precision) for precision in theirs or ["float32"]]
    for one, precision in pairs:
        if one == "saved_model":
            continue
        runtime(SUFFIXES[one])
        for package in _WRITERS[one]:
            _tool(package, one)
        if (one, precision) == ("openvino", "int8"):
            _tool("nncf", one)
    return pairs


def artifact_name(name: str, format_name: str, precision: str) -> str:
    """Returns the name of the file: ``NAME.onnx``, or ``NAME_int8.onnx`` for a precision other than float32."""
    return f"{name}{'' if precision == 'float32' else f'_{precision}'}{SUFFIXES[format_name]}"


def write_artifact(
    served: keras.Model,
    path: Path,
    *,
    card: Card,
    precision: str = "float32",
    calibration: Sequence[np.ndarray] = (),
) -> None:
    """Writes a network as an ``.onnx``, ``.tflite`` or ``.xml`` file.

    int8 means post-training quantization, per channel, by the library that is made for the format. The first
    convolution and the classifier of an ONNX file stay in float32, because they cost little and matter most.

    Args:
        served: The model that `serving_model` returns, optimized or not, in float32.
        path: The file to write; its suffix determines the format.
        card: The card to store in the file.
        precision: One of the format's `PRECISIONS`.
        calibration: Preprocessed float32 images to calibrate int8, each of shape (1, height, width, channels).

    Raises:
        ValueError: If ``precision`` is int8 and there are no images to calibrate it.
        RuntimeError: If a library cannot write the file.
    """
    if precision == "int8" and not len(calibration):
        raise ValueError(
            "int8 is calibrated on real images: name a dataset or folder:PATH (--calibration). Received: none"
        )
    inputs = keras.Input(served.input.shape[1:], name="images")
    model = keras.Model(inputs, served(inputs), name=served.name)
    model(np.zeros((1, *served.input.shape[1:]), "float32"))  # Keras exports only models that were called
    write: dict[str, Callable[..., None]] = {".onnx": _write_onnx, ".tflite": _write_litert, ".xml": _write_openvino}
    text = json.dumps(card.as_dict(), ensure_ascii=False)
    with quiet_converters():
        write[path.suffix](model, path, text, precision, calibration)


def _tool(package: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"Writing {extra} needs {package}: pip install 'googlenet-keras[{extra}]'. Received: {error}"
        ) from None


@contextlib.contextmanager
def quiet_converters() -> Iterator[None]:
    """Silences the converters, which log and print to the output of the process; that of TensorFlow prints from C++."""
    with warnings.catch_warnings(), quiet_logger("tensorflow"), tempfile.TemporaryFile() as void:
        warnings.simplefilter("ignore")
        kept = {number: os.dup(number) for number in (1, 2)}
        try:
            for number in kept:
                os.dup2(void.fileno(), number)
            yield
        finally:
            for number, copy in kept.items():
                os.dup2(copy, number)
                os.close(copy)


def _write_onnx(model: keras.Model, path: Path, card: str, precision: str, calibration: Sequence[np.ndarray]) -> None:
    onnx = _tool("onnx", "onnx")
    model.export(path, format="onnx", verbose=False)
    if precision == "float16":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), path)
    elif precision == "int8":
        _quantize_onnx(path, calibration)
    graph = onnx.load(path)
    graph.metadata_props.add(key=CARD, value=card)
    onnx.save(graph, path)


def _quantize_onnx(path: Path, calibration: Sequence[np.ndarray]) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._images = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self._images, None)
            return None if image is None else {"images": image}

    prepared = path.with_name(f"{path.stem}_prepared.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    nodes = _tool("onnx", "onnx").load(prepared).graph.node
    weighty = [node.name for node in nodes if node.op_type in ("Conv", "MatMul", "Gemm")]
    quantization.quantize_static(
        str(prepared),
        str(path),
        Images(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        # Without VNNI, the sums of 8-bit products saturate at 16 bits. Weights of 7 bits are safe everywhere.
        # Source: onnxruntime.ai, "Quantize ONNX models", "When to use reduce-range".
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=[weighty[0], weighty[-1]],
    )
    prepared.unlink()


def _write_litert(model: keras.Model, path: Path, card: str, precision: str, calibration: Sequence[np.ndarray]) -> None:
    import tensorflow as tf

    options: dict[str, Any] = {}
    if precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        options["target_spec"] = {"supported_types": [tf.float16]}
    if precision == "int8":
        options["representative_dataset"] = lambda: ([image] for image in calibration)
    model.export(path, format="litert", verbose=False, **options)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_FILE, card)


def _write_openvino(
    model: keras.Model, path: Path, card: str, precision: str, calibration: Sequence[np.ndarray]
) -> None:
    openvino = runtime(SUFFIXES["openvino"])
    plain = path.with_name(f"{path.stem}_plain.xml")
    model.export(str(plain), format="openvino", verbose=False)
    graph = openvino.Core().read_model(str(plain))
    if precision == "int8":
        nncf = _tool("nncf", "openvino")
        graph = nncf.quantize(graph, nncf.Dataset(calibration), subset_size=len(calibration))
    graph.set_rt_info(card, [CARD, "card"])
    graph.set_rt_info(_OPENVINO_HINTS[precision], [CARD, "precision"])
    openvino.save_model(graph, str(path), compress_to_fp16=precision == "float16")
    del graph  # it maps the file that is deleted next into memory
    for file in (plain, plain.with_suffix(".bin")):
        file.unlink()
