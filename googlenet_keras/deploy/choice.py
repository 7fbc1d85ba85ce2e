"""Chooses which of several artifacts is kept, by measurements of the build script on this machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from googlenet_keras.deploy.artifacts import FORMATS, planned

Facts: TypeAlias = Mapping[str, Any]

# What each goal compares, smaller being better, with its unit.
GOALS: dict[str, tuple[Callable[[Facts], float], str]] = {
    "latency": (lambda facts: 1000 * facts["seconds"]["1"], "ms for one image"),
    "throughput": (lambda facts: 1000 * _seconds_per_image(facts), "ms per image in a batch"),
    "size": (lambda facts: facts["bytes"] / 1e6, "MB"),
}
# Half a point of accuracy: above what int8 has lost here with any runtime, which is 0.001 of Fashion-MNIST's.
LARGEST_LOSS = 0.005


def check_goal(goal: str) -> None:
    """Refuses what is no goal.

    Args:
        goal: A key of `GOALS`.

    Raises:
        ValueError: If it is none.
    """
    if goal not in GOALS:
        raise ValueError(f"What to optimize for must be one of {', '.join(GOALS)}. Received: {goal!r}")


def available_formats(precisions: Sequence[str]) -> list[str]:
    """The formats that can be written here: their extras are installed.

    Args:
        precisions: See `planned`.
    """
    found = []
    for one in FORMATS:
        try:
            planned([one], precisions if one != "saved_model" else ["float32"])
        except ValueError:
            continue
        found.append(one)
    return found


def best(candidates: Sequence[Facts], goal: str) -> tuple[int, str]:
    """Chooses an artifact; one whose quantization lost more than half a point of accuracy is never chosen.

    Args:
        candidates: The card's facts about each: ``file``, ``bytes``, ``seconds`` by batch size, and ``accuracy`` where
            it was measured.
        goal: A key of `GOALS`.

    Returns:
        Its position, and a sentence of how all compare.
    """
    measure, unit = GOALS[goal]
    order = sorted(range(len(candidates)), key=lambda index: (_loses(candidates[index]), measure(candidates[index])))
    compared = [
        f"{facts['file']} {measure(facts):.1f}{' (loses accuracy)' if _loses(facts) else ''}"
        for facts in (candidates[index] for index in order)
    ]
    return order[0], f"chosen for {goal}, in {unit}: {', '.join(compared)}"


def _loses(facts: Facts) -> bool:
    measured = facts.get("accuracy")
    return measured is not None and measured["before"] - measured["accuracy"] > LARGEST_LOSS


def _seconds_per_image(facts: Facts) -> float:
    return min(seconds / int(batch_size) for batch_size, seconds in facts["seconds"].items())
