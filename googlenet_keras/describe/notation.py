"""Describes the branches of a module in one line, such as ``64 / 48-64(5x5) / 64-96-96 / avg 32``."""

from itertools import groupby
from typing import NamedTuple

from keras import layers

from googlenet_keras.describe.graph import Graph, Layer, window

LEGEND = (
    "a-b is a convolution with a filters, followed by one with b filters; / separates parallel branches; the first "
    "kernel of a branch is 1x1 and the following ones are 3x3, unless brackets give another"
)


class _Merge(NamedTuple):
    """Paths that fork and join again."""

    layer: Layer
    ways: tuple["_Way", ...]


_Way = tuple[Layer | _Merge, ...]


def branches_text(graph: Graph, first: Layer, last: Layer) -> str:
    """Describes the layers between two layers by their filters (units of dense layers) and kernels.

    Args:
        graph: The graph that has both layers.
        first: The layer to start after. All paths to ``last`` pass through it.
        last: The layer to end with.

    Returns:
        One line in the notation of `LEGEND`; empty if there is no convolution, pooling or dense layer. In addition,
        ``x + ...`` adds the result to the input ``x``, and ``5 x (...)`` repeats the part in brackets five times.
    """
    return _text(_way(graph, first, last))


def _way(graph: Graph, first: Layer, last: Layer) -> _Way:
    steps: list[Layer | _Merge] = []
    while last is not first:
        parents = graph.parents[last]
        if len(parents) > 1:
            gate = graph.gate[last]
            steps.append(_Merge(last, tuple(_way(graph, gate, parent) for parent in parents)))
            last = gate
        else:
            if isinstance(last, layers.Conv2D | layers.SeparableConv2D | layers.Dense) or _pool_kind(last):
                steps.append(last)
            (last,) = parents
    return tuple(reversed(steps))


def _text(way: _Way, *, started: bool = False) -> str:
    """Formats the steps of a path; ``started`` is True if a convolution of the branch has been printed already."""
    # The text of each step, and whether the step has filters of its own, because a dash joins only steps that do.
    pieces: list[tuple[str, bool]] = []
    for step in way:
        if isinstance(step, _Merge):
            text = _merge_text(step)
            pieces.append((text if len(way) == 1 else f"({text})", isinstance(step.layer, layers.Concatenate)))
            started = True
        elif kind := _pool_kind(step):
            shape = str(window(step))
            pieces.append((kind if shape == "3x3/1" else f"{kind}({shape})", False))
        else:
            pieces.append((_convolution_text(step, usual="3x3/1" if started else "1x1/1"), True))
            started = True
    line, dash = "", False
    for (text, has_filters), run in groupby(pieces):
        times = len(list(run))
        line += "-" if dash and has_filters else " " if line else ""
        line += f"{times} x {text}" if times > 1 and text.startswith("(") else "-".join([text] * times)
        dash = has_filters
    return line


def _merge_text(merge: _Merge) -> str:
    if isinstance(merge.layer, layers.Add):
        return " + ".join(_text(way) or "x" for way in merge.ways)
    return " / ".join(_branch_texts(merge.ways, started=False))


def _branch_texts(ways: tuple[_Way, ...], *, started: bool) -> list[str]:
    """Returns a text for each branch; branches that share their beginning have one text, which ends in a fork."""
    texts = []
    for _, group in groupby(ways, key=lambda way: id(way[0]) if way else None):
        first, *others = group
        if not others:
            texts.append(_text(first, started=started))
            continue
        shared = 0
        while all(len(way) > shared and way[shared] is first[shared] for way in (first, *others)):
            shared += 1
        arms = _branch_texts(tuple(way[shared:] for way in (first, *others)), started=True)
        texts.append(f"{_text(first[:shared], started=started)}-[{', '.join(arms)}]")
    return texts


def _pool_kind(layer: Layer) -> str | None:
    if not window(layer) or "Pooling" not in type(layer).__name__ or "Global" in type(layer).__name__:
        return None
    return "max" if isinstance(layer, layers.MaxPooling2D) else "avg"


def _convolution_text(layer: Layer, *, usual: str) -> str:
    if isinstance(layer, layers.Dense):
        return str(layer.units)
    shape = str(window(layer))
    notes = [] if shape == usual else [shape.removesuffix("/1")]
    if isinstance(layer, layers.SeparableConv2D):
        notes.append("separable")
    elif layer.groups > 1:
        notes.append(f"{layer.groups} groups")
    return f"{layer.filters}({', '.join(notes)})" if notes else str(layer.filters)
