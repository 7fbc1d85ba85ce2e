"""Compares speeds fairly on a machine that also does other work, by letting all candidates take turns."""

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Name = TypeVar("Name")


@dataclass(frozen=True)
class Timing(Generic[Name]):
    """The times that one candidate took.

    Attributes:
        name: The name of the candidate.
        seconds: The median seconds of a call.
        ratio: The median over the rounds of the candidate's time divided by the baseline's in the same round.
        lower: The first quartile of that ratio.
        upper: The third quartile of that ratio.
        rounds: The seconds of the call in each round, from which the other values are computed.
    """

    name: Name
    seconds: float
    ratio: float
    lower: float
    upper: float
    rounds: tuple[float, ...] = ()


def compare(candidates: Mapping[Name, Callable[[], object]], *, rounds: int, seed: int = 0) -> list[Timing[Name]]:
    """Times candidates against the first of them; each round calls all of them in a new random order.

    Args:
        candidates: The functions to time, by name, the baseline first; a call must not return before its work is done.
        rounds: The number of timed calls of each candidate, after one untimed call; at least 2.
        seed: The seed of the random orders.

    Returns:
        A timing for each candidate, in the order of ``candidates``.
    """
    for call in candidates.values():
        call()
    seconds: dict[Name, list[float]] = {name: [] for name in candidates}
    order = random.Random(seed)
    for _ in range(rounds):
        for name in order.sample(list(candidates), len(candidates)):
            start = time.perf_counter()
            candidates[name]()
            seconds[name].append(time.perf_counter() - start)
    baseline = next(iter(seconds.values()))
    timings = []
    for name, own in seconds.items():
        ratios = [mine / theirs for mine, theirs in zip(own, baseline, strict=True)]
        lower, middle, upper = statistics.quantiles(ratios, n=4, method="inclusive")
        timings.append(Timing(name, statistics.median(own), middle, lower, upper, tuple(own)))
    return timings
