"""Compares the speed of two workers with one core each to that of one process with two cores, in turns.

Run it as ``python tests/benchmarks/scaling.py --data-dir DIR`` on an otherwise idle machine with at least two cores.
DIR is the folder in which Fashion-MNIST has been prepared. The script prints the examples per second, and the ratio
with its quartiles.
"""

import argparse
import csv
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Each recipe is measured at the image size at which it spends most of its time.
RECIPES = {"fashion_mnist": ["--early-share", "0"], "d2l_fashion_mnist": []}


def examples_per_second(command: Sequence[str], cores: Sequence[set[int]]) -> float:
    """Runs a training and computes its speed from its log.

    Args:
        command: The training's command from ``--recipe`` on, without ``--output`` and ``--strategy``.
        cores: The cores that each worker may use.

    Returns:
        The median over all epochs but the first, in which TensorFlow's functions are traced.
    """
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in cores]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for index, own in enumerate(cores):
            environment = dict(os.environ)
            if len(cores) > 1:
                task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                environment["TF_CONFIG"] = json.dumps(task)
            processes.append(
                subprocess.Popen(
                    [
                        *["taskset", "-c", ",".join(map(str, sorted(own)))],
                        *[sys.executable, "-m", "googlenet_keras.train", *command, "--output", folder],
                        *["--strategy", "multi_worker" if len(cores) > 1 else "cpu"],
                    ],
                    cwd=ROOT,
                    env=environment,
                    stdout=subprocess.DEVNULL,
                )
            )
        statuses = [process.wait() for process in processes]
        if any(statuses):
            raise RuntimeError(f"A training failed. Received: the statuses {statuses}")
        rows = list(csv.DictReader((Path(folder) / "log.csv").read_text().splitlines()))
    return statistics.median(float(row["examples_per_second"]) for row in rows[1:])


def main() -> None:
    """Measures each recipe and prints a line for each of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="where Fashion-MNIST has been prepared")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="at least 2 (default: 4)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="the first does not count (default: 3)")
    parser.add_argument("--steps", type=int, default=12, metavar="N", help="of an epoch (default: 12)")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    arguments = parser.parse_args()
    first, second = sorted(os.sched_getaffinity(0))[:2]
    setups = {"one process": [{first, second}], "two workers": [{first}, {second}]}
    order = random.Random(0)
    for recipe in arguments.recipes:
        command = [
            *["--recipe", recipe, *RECIPES[recipe], "--validation-split", "test[:128]"],
            *["--epochs", str(arguments.epochs), "--steps-per-epoch", str(arguments.steps)],
            *["--data-dir", arguments.data_dir],
        ]
        rates: dict[str, list[float]] = {name: [] for name in setups}
        for _ in range(arguments.rounds):
            for name in order.sample(list(setups), len(setups)):
                rates[name].append(examples_per_second(command, setups[name]))
        ratios = [two / one for two, one in zip(rates["two workers"], rates["one process"], strict=True)]
        lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        medians = "  ".join(f"{name} {statistics.median(values):.0f} examples/s" for name, values in rates.items())
        print(f"{recipe}  {medians}  ratio {middle:.3f} (quartiles {lower:.3f} to {upper:.3f})", flush=True)


if __name__ == "__main__":
    main()
