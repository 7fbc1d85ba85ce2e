"""Writes a SavedModel or files for other runtimes, with pictures of the network and a model card.

Run it as ``python -m googlenet_keras.export``.
"""

import argparse
import time
from pathlib import Path

from googlenet_keras import devices
from googlenet_keras.commands.parsing import Parser, add_data_dir, path_argument
from googlenet_keras.commands.running import run


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.export", description=__doc__.splitlines()[0])
    result.add_argument(
        "--model", metavar="NAME", help="name of the network (default: that of the weights, or googlenet)"
    )
    result.add_argument(
        "--weights",
        metavar="NAME_OR_FILE",
        help="a .weights.h5 or .keras file, or the name of published weights, such as fashion_mnist, which comes with "
        "the package (default: none, which leaves the network untrained)",
    )
    result.add_argument(
        "--output",
        type=path_argument,
        default=Path("saved_models"),
        metavar="DIR",
        help="folder for the export (default: saved_models)",
    )
    result.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="number of classes (default: that of the weights, or the network's own)",
    )
    result.add_argument(
        "--input-shape",
        type=int,
        nargs=3,
        metavar=("H", "W", "C"),
        help="height, width and channels of the input (default: those of the weights, or the network's own, such as "
        "224 224 3)",
    )
    result.add_argument(
        "--labels",
        type=path_argument,
        metavar="FILE",
        help="text file of class names, one per line (default: those of the weights, or the network's own)",
    )
    result.add_argument(
        "--strategy",
        default="auto",
        choices=devices.STRATEGIES,
        metavar="NAME",
        help="devices to build on: auto, cpu, gpu or mirrored (default: auto, which uses all GPUs, or the CPU)",
    )
    result.add_argument(
        "--dtype",
        metavar="POLICY",
        help="Keras dtype policy, such as mixed_bfloat16, or auto to choose it by the hardware (default: Keras's "
        "global policy)",
    )
    result.add_argument("--aux-heads", action="store_true", help="include the auxiliary classifiers and their outputs")
    result.add_argument(
        "--no-optimize",
        action="store_true",
        help="write the network as it was trained, without folding its batch normalization into other layers",
    )
    result.add_argument(
        "--formats",
        nargs="+",
        metavar="FORMAT",
        help="formats to write, one or more of saved_model, onnx, litert, openvino (default: saved_model)",
    )
    result.add_argument(
        "--precision",
        nargs="+",
        default=["float32"],
        metavar="PRECISION",
        help="precisions to write, one or more of float32, bfloat16, float16, int8; saved_model has the dtype of "
        "--dtype instead (default: float32)",
    )
    result.add_argument(
        "--optimize-for",
        metavar="GOAL",
        help="latency, throughput or size: write the formats of --formats, or else all formats whose extras are "
        "installed, and keep only the file that is best on this machine",
    )
    result.add_argument(
        "--calibration",
        metavar="DATASET",
        help="dataset for the calibration of int8, a name or folder:PATH (default: the one that the weights were "
        "trained on)",
    )
    add_data_dir(result)
    result.add_argument(
        "--serving-version",
        type=int,
        metavar="N",
        help="write the SavedModel to NAME/N, as version N for TensorFlow Serving",
    )
    result.add_argument("--force", action="store_true", help="replace an existing export of the same name")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(_export, parser(), argv)


def _export(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.filesize import decimal

    from googlenet_keras.deploy import export_model
    from googlenet_keras.files import tree_size

    start = time.perf_counter()
    with Console(stderr=True).status("starting") as status:
        export = export_model(
            arguments.model,
            folder=arguments.output,
            weights=arguments.weights,
            classes=arguments.classes,
            input_shape=arguments.input_shape and tuple(arguments.input_shape),
            labels=arguments.labels,
            strategy=arguments.strategy,
            dtype=arguments.dtype,
            aux_heads=arguments.aux_heads,
            optimize=not arguments.no_optimize,
            formats=arguments.formats,
            precisions=arguments.precision,
            optimize_for=arguments.optimize_for,
            calibration=arguments.calibration,
            data_dir=arguments.data_dir,
            serving_version=arguments.serving_version,
            force=arguments.force,
            report=status.update,
        )
    made = ", ".join(f"{path} ({decimal(tree_size(path))})" for path in export.paths)
    untrained = "" if arguments.weights else "; untrained: give --weights for meaningful predictions"
    chosen = f"; {export.chosen}" if export.chosen else ""
    print(f"{made} in {time.perf_counter() - start:.1f} s on {export.strategy}{chosen}{untrained}")
    return 0
