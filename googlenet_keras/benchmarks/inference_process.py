"""One artifact in a process that has nothing but its runtime, asked again and again; run as a script.

Arguments: the artifact, and the height, width and channels of its images. An artifact ``torchvision:NETWORK:FORM`` is a
peer that is no file: torchvision's network ``eager``, ``channels_last`` or, in that layout, ``compiled``.

It prints a line of JSON for the first answer (``first_answer``, seconds since the process began), and one for each line
that it reads, which holds a batch size and how often to answer; ``peak_memory``, the most bytes that the process has
had, stands in each.
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

# The package would bring Keras along.
spec = importlib.util.spec_from_file_location("runtimes", Path(__file__).parents[1] / "deploy" / "runtimes.py")
assert spec is not None
assert spec.loader is not None
runtimes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtimes)


def say(**facts: float) -> None:
    """Prints facts, with the most memory so far."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    print(json.dumps({**facts, "peak_memory": int(peak[1]) * 1024 if peak else None}), flush=True)


def torchvision_network(name: str, form: str) -> Callable[[np.ndarray], object]:
    """Torchvision's network, untrained, as a function of images (batch, height, width, channels)."""
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
    """See the module."""
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
