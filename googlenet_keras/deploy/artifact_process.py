"""Runs an artifact on images in a process that has imported nothing but its runtime; run as a script.

The arguments are the artifact, an ``.npz`` file of input images under any names, and the ``.npz`` file to write the
outputs to, under the names ``INPUT/OUTPUT``. The script prints JSON: the median seconds of a call for each input, the
seconds from the start of the process to its first output, and the peak memory of the process in bytes.
"""

import importlib.util
import json
import re
import statistics
import sys
import time
from pathlib import Path

import numpy as np

REPEATS = 3

# The module is loaded from its file, so that the rest of the package is not imported.
spec = importlib.util.spec_from_file_location("runtimes", Path(__file__).with_name("runtimes.py"))
assert spec is not None
assert spec.loader is not None
runtimes = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtimes)


def main(artifact: str, questions_file: str, answers_file: str) -> None:
    """Runs the script; see the module."""
    with np.load(questions_file) as loaded:
        questions = {key: loaded[key] for key in loaded.files}
    answer = runtimes.open_artifact(artifact)
    answers: dict[str, np.ndarray] = {}
    seconds, first = {}, None
    for key, images in questions.items():
        answers |= {f"{key}/{output}": value for output, value in answer(images).items()}
        first = first or runtimes.since_start()
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            answer(images)
            times.append(time.perf_counter() - start)
        seconds[key] = statistics.median(times)
    np.savez(answers_file, **answers)  # type: ignore[arg-type]  # an array may have any name except allow_pickle
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    print(json.dumps({"seconds": seconds, "first_answer": first, "peak_memory": int(peak[1]) * 1024 if peak else None}))


main(*sys.argv[1:])
