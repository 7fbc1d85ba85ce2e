"""Runs one artifact again and again in a process that has imported nothing but its runtime; run as a script.

The arguments are the artifact, and the height, width and channels of its images. ``torchvision:NETWORK:FORM`` means a
network of torchvision instead of a file; its form is ``eager``, ``channels_last``, or ``compiled``, which also has the
layout ``channels_last``.

After the first output, the script prints a line of JSON with ``first_answer``, the seconds since the process began.
Then it reads lines that contain a batch size and a number of repetitions, and prints a line of JSON with ``seconds``,
the time of one repetition, for each of them. Every line that it prints contains ``peak_memory``, the peak memory of the
process so far, in bytes.
"""

import importlib.util
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

# The module is loaded from its file, so that the rest of the package is not imported.
spec = importlib.util.spec_from_file_location("runtimes", Path(__file__).parents[1] / "deploy" / "runtimes.py")
assert spec is not None
assert spec.loader is not None
runtimes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtimes)


def say(**facts: float) -> None:
    """Prints facts as a line of JSON, with the peak memory so far."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    print(json.dumps({**facts, "peak_memory": int(peak[1]) * 1024 if peak else None}), flush=True)


def torchvision_network(name: str, form: str) -> Callable[[np.ndarray], object]:
    """Returns an untrained network of torchvision as a function of images (batch, height, width, channels)."""
    import torch
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.get_model(name, weights=None, init_weights=False, aux_logits=False).eval()
    layout = torch.contiguous_format if form == "eager" else torch.channels_last
    network = network.to(memory_format=layout)
    run = torch.compile(network) if form == "compiled" else network

    def answer(images: np.ndarray) -> object:
        with torch.inference_mode():
            return run(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)).numpy()

    return answer


def main(artifact: str, *shape: str) -> None:
    """Runs the script; see the module."""
    kind, *peer = artifact.split(":")
    answer = torchvision_network(*peer) if kind == "torchvision" else runtimes.open_artifact(artifact)
    images = np.random.default_rng(0).uniform(-1, 1, (1, *map(int, shape))).astype("float32")
    answer(images)
    say(first_answer=runtimes.since_start())
    for line in sys.stdin:
        batch_size, repeats = map(int, line.split())
        batch = np.repeat(images, batch_size, axis=0)
        start = time.perf_counter()
        for _ in range(repeats):
            answer(batch)
        say(seconds=(time.perf_counter() - start) / repeats)


main(*sys.argv[1:])
