"""Chooses which of several artifacts to keep, by the measurements of the build script on this machine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from googlenet_keras.deploy.artifacts import FORMATS, planned

Facts: TypeAlias = Mapping[str, Any]

# The quantity that each goal compares, and its unit; smaller is better.
GOALS: dict[str, tuple[Callable[[Facts], float], str]] = {
    "latency": (lambda facts: 1000 * facts["seconds"]["1"], "ms for one image"),
    "throughput": (lambda facts: 1000 * _seconds_per_image(facts), "ms per image in a batch"),
    "size": (lambda facts: facts["bytes"] / 1e6, "MB"),
}
# Half a percentage point of accuracy. The most that int8 has lost here, in any runtime, is 0.001 on Fashion-MNIST.
LARGEST_LOSS = 0.005


def check_goal(goal: str) -> None:
    """Raises an error if the goal is unknown.

    Args:
        goal: A key of `GOALS`.

    Raises:
        ValueError: If ``goal`` is not a key of `GOALS`.
    """
    if goal not in GOALS:
        raise ValueError(f"The goal to optimize for must be one of {', '.join(GOALS)}. Received: {goal!r}")


def available_formats(precisions: Sequence[str]) -> list[str]:
    """Lists the formats that support all precisions and whose extras are installed, and always the SavedModel.

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
    """Chooses the best artifact.

    An artifact whose quantization lost more than `LARGEST_LOSS` of accuracy is chosen only if all of them lost so much.

    Args:
        candidates: The card's facts about each artifact: ``file``, ``bytes``, ``seconds`` by batch size, and
            ``accuracy`` if it was measured.
        goal: A key of `GOALS`.

    Returns:
        The index of the chosen artifact, and a sentence that compares all of them.
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
