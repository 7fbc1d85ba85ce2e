"""One artifact in a process that has nothing but its runtime, asked again and again; run as a script.

Arguments: the artifact, and the height, width and channels of its images. It prints a line of JSON for the first answer
(``first_answer``, seconds since the process began), and one for each line that it reads, which holds a batch size and
how often to answer; ``peak_memory``, the most bytes that the process has had, stands in each.
"""

import importlib.util
import json
import os
import re
import sys
import time
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


def main(artifact: str, *shape: str) -> None:
    """See the module."""
    answer = runtimes.open_artifact(artifact)
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
