"""Measures how much of a dataset in many files each worker reads, with one, two and four workers over loopback.

Run it as ``python tests/benchmarks/shares.py`` on Linux. It makes a dataset of noise in both file formats, and trains a
tiny network on it for two epochs. It prints the bytes that each worker read in the second epoch as a fraction of the
size of all files, the examples per second of all workers, and the losses.
"""

import argparse
import csv
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
EPOCHS = 2


def work(data_dir: str, output: str, workers: int, report: str) -> None:
    """Trains as one worker, and writes the number of bytes that it read in each epoch to the file ``report``."""
    import keras
    import streamed
    import tiny

    from googlenet_keras import load_recipe
    from googlenet_keras.training import create_strategy, train

    tiny.register()
    read = []

    class Reading(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            read.append(-streamed.bytes_read())

        def on_test_begin(self, logs=None):
            read[-1] += streamed.bytes_read()

    strategy, _ = create_strategy("multi_worker" if workers > 1 else "cpu")
    recipe = load_recipe(
        "d2l_fashion_mnist",
        **{"model": tiny.RECORD.name, "dtype": "float64", "synchronized": True, "dropout": 0.0, "input_size": 32},
        **{"dataset": streamed.NAME, "batch_size": 64, "epochs": EPOCHS, "validation_split": "test"},
    )
    train(recipe, output, data_dir=data_dir, strategy=strategy, callbacks=[Reading()])
    Path(report).write_text(json.dumps(read))


def measure(data_dir: Path, workers: int) -> tuple[list[int], list[dict[str, str]]]:
    """Returns the number of bytes that each worker read in the last epoch, and the rows of the training's log."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for index in range(workers):
            environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
            if workers > 1:
                task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                environment["TF_CONFIG"] = json.dumps(task)
            command = [data_dir, f"{folder}/output", workers, f"{folder}/{index}.json"]
            processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, "--work", *map(str, command)], env=environment, stdout=subprocess.DEVNULL
                )
            )
        statuses = [process.wait() for process in processes]
        if any(statuses):
            raise RuntimeError(f"A training failed. Received: the statuses {statuses}")
        read = [json.loads(Path(folder, f"{index}.json").read_text())[-1] for index in range(workers)]
        return read, list(csv.DictReader(Path(folder, "output", "log.csv").read_text().splitlines()))


def main() -> None:
    """Measures each format with each number of workers, and prints a line for each measurement."""
    import streamed

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=2048, metavar="N", help="to train on (default: 2048)")
    parser.add_argument("--files", type=int, default=64, metavar="N", help="of these (default: 64)")
    parser.add_argument("--side", type=int, default=300, metavar="PIXELS", help="of the smallest image (default: 300)")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        data_dir, output, workers, report = arguments.work
        work(data_dir, output, int(workers), report)
        return
    for file_format in ("tfrecord", "array_record"):
        with tempfile.TemporaryDirectory() as data_dir:
            examples = {"train": arguments.examples, "test": 4 * arguments.files}
            folder = streamed.prepare(data_dir, file_format, arguments.files, examples, arguments.side)
            whole = sum(file.stat().st_size for file in folder.glob("*-train.*"))
            print(f"{file_format}: {whole / 1e6:.1f} MB", flush=True)
            for workers in (1, 2, 4):
                read, rows = measure(Path(data_dir), workers)
                parts = " ".join(f"{one / whole:.3f}" for one in read)
                losses = " ".join(f"{row['loss']} (val {row['val_loss']})" for row in rows)
                rate = float(rows[-1]["examples_per_second"])
                print(f"  workers {workers}  read {parts}  {rate:.0f} examples/s  loss {losses}", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    main()
