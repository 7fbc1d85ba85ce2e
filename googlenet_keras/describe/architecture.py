"""Draws a model's architecture at a glance: a frame around each Inception module, arranged in columns."""

import contextlib
import html
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import pydot

from googlenet_keras.describe.cost import count_multiply_adds
from googlenet_keras.describe.modules import Box, Group, grouped, read_boxes, size_text
from googlenet_keras.describe.pictures import DOTS_PER_INCH, FONT, draw

# Paul Tol's "light" scheme (https://personal.sron.nl/~pault) is made for black text and for colour-blind readers.
COLORS = {
    "input": "#FFFFFF",
    "pooling": "#EE8866",
    "normalization": "#44BB99",
    "concatenation": "#DDDDDD",
    "addition": "#FFAABB",
    "dense": "#EEDD88",
    "other": "#FFFFFF",
}
# For the most common kind of convolution in a model (for example, with batch normalization and ReLU), for the second
# most common kind, and for all other kinds.
CONVOLUTION_COLORS = ("#77AADD", "#99DDFF", "#BBCC33")
SMALL_PRINT = 10  # points
ASPECT_RATIO = 1.2


def plot_architecture(model: keras.Model, path: str | Path, *, dpi: int = DOTS_PER_INCH) -> None:
    """Draws a model as papers do, with the branches of each module side by side, in columns that fit on a page.

    Batch normalization, activations, padding and dropout are drawn in the box of the layer that they follow. Equal
    modules in a row are drawn once, with their number. `plot_model` draws every single layer.

    Args:
        model: A built Keras model, functional or sequential.
        path: The picture file to write; its suffix (``.png``, ``.svg``, ``.pdf``) sets the format. An existing file is
            replaced only when the new picture is complete.
        dpi: Dots per inch of a bitmap; the smallest letters are 10 points high.

    Raises:
        ValueError: If the model has no graph, or the bitmap would exceed what Graphviz can draw at full size.
        RuntimeError: If Graphviz fails; the message includes the error of Graphviz.
    """
    draw(architecture_graph(model).to_string(), path, dpi=dpi)


def architecture_graph(model: keras.Model) -> pydot.Dot:
    """Returns the picture of `plot_architecture` as a graph.

    A module consists of a layer that joins branches or is an output of the model, and of the layers before it whose
    names start with its name and ``_``. It becomes a cluster with its name; every other layer becomes a node of its
    own. A tensor between two modules becomes a node ``NAME map`` that shows its size.

    Args:
        model: A built Keras model, functional or sequential.

    Returns:
        The graph. Its nodes have the names of the layers, and its label holds the title and the legend.

    Raises:
        ValueError: If the model has no graph of layers, such as a subclassed model.
    """
    boxes, answers = read_boxes(model)
    groups = _folded(grouped(boxes, answers), answers)
    home = {node.name: group for group in groups for node in group.boxes}
    columns = _columns(groups, home, answers)
    column_of = {group.name: number for number, column in enumerate(columns) for group in column}

    nodes = [node for group in groups for node in group.boxes]
    graph = _canvas(label=_title(model, nodes), labelloc="t")
    colors = box_colors(nodes)
    frames = [pydot.Cluster(f"column {number}", peripheries=0, margin=14, label="") for number in range(len(columns))]
    for frame, column in zip(frames, columns, strict=True):
        for group in column:
            _draw_group(group, frame, colors)
        graph.add_subgraph(frame)  # type: ignore[arg-type]  # pydot also accepts a cluster, unlike its type hint

    sources = {node.name: node for node in nodes}
    targets: dict[str, list[str]] = {name: [] for name in answers if sources[name].kind != "dense"}
    for node in nodes:
        for name in node.parents:
            if home[name] is home[node.name] or sources[name].kind == "input":
                graph.add_edge(pydot.Edge(name, node.name, weight=3))
            else:
                targets.setdefault(name, []).append(node.name)
    tops = [columns[0][0].boxes[0].name]
    for name, followers in targets.items():
        here = column_of[home[name].name]
        there = min((column_of[home[follower].name] for follower in followers), default=here)
        frames[there].add_node(_map_node(name, sources[name].shape))
        if here == there:
            graph.add_edge(pydot.Edge(name, f"{name} map", arrowhead="none", weight=10))
        else:
            ends = [group.boxes[-1].name for group in columns[here][1:] if group.boxes[-1].name not in targets]
            tops += _turn(graph, frames[here], frames[there], name, ends)
        for follower in followers:
            graph.add_edge(pydot.Edge(f"{name} map", follower, weight=3))
        branches = [follower for follower in followers if sources[follower].parents == [name]]
        graph.add_subgraph(_rank(branches))
        for left, right in itertools.pairwise(branches):
            graph.add_edge(pydot.Edge(left, right, style="invis", weight=0))
    graph.add_subgraph(_rank(tops))
    return graph


def module_graph(group: Group, boxes: Mapping[str, Box], colors: Mapping[str, str]) -> pydot.Dot:
    """Returns the graph of one module, below the sizes of its input feature maps and above that of its output.

    Args:
        group: The module.
        boxes: All boxes of the model, by name.
        colors: The colour of each kind of box; see `box_colors`.
    """
    graph = _canvas()
    members = {box.name for box in group.boxes}
    for box in group.boxes:
        graph.add_node(_box_node(box, colors))
        for name in box.parents:
            source = name if name in members else f"{name} map"
            if source != name and not graph.get_node(pydot.quote_id_if_necessary(source)):
                graph.add_node(_map_node(name, boxes[name].shape))
            graph.add_edge(pydot.Edge(source, box.name))
    end = group.boxes[-1]
    graph.add_node(_map_node(end.name, end.shape))
    graph.add_edge(pydot.Edge(end.name, f"{end.name} map", arrowhead="none"))
    return graph


def _canvas(**attributes: str) -> pydot.Dot:
    """Returns an empty graph in the common style of all pictures."""
    graph = pydot.Dot("architecture", fontname=FONT, pad=0.25, nodesep=0.12, ranksep=0.22, newrank=True, **attributes)
    graph.set_node_defaults(
        shape="box",
        style="filled,rounded",
        fontname=FONT,
        fontsize=SMALL_PRINT,
        height=0.3,
        width=0.6,
        margin="0.07,0.04",
    )
    graph.set_edge_defaults(color="#555555", arrowsize=0.6)
    return graph


def _box_node(box: Box, colors: Mapping[str, str]) -> pydot.Node:
    return pydot.Node(box.name, label=box.label, fillcolor=colors[box.kind], tooltip=box.tooltip)


def _map_node(name: str, shape: Iterable[int | None]) -> pydot.Node:
    """Returns a node that shows the size of a feature map between two modules."""
    return pydot.Node(
        f"{name} map",
        label=size_text(shape),
        shape="plaintext",
        style="",
        height=0.2,
        margin="0.05,0.02",
        ordering="out",
    )


def _turn(graph: pydot.Dot, here: pydot.Cluster, there: pydot.Cluster, name: str, ends: list[str]) -> list[str]:
    """Leads a tensor from the bottom of one column up the left side of another; returns the nodes at its top."""
    below, corner, top = (f"{name} {place}" for place in ("below", "corner", "top"))
    for cluster, place in ((here, below), (there, corner), (there, top)):
        cluster.add_node(pydot.Node(place, shape="point", width=0.01, height=0.01, style="invis", label=""))
    graph.add_subgraph(_rank([below, corner]))
    for end in ends:
        graph.add_edge(pydot.Edge(end, below, style="invis", weight=0))
    graph.add_edge(pydot.Edge(name, below, arrowhead="none"))
    # With a weight, this edge would pull the end of the column to the right.
    graph.add_edge(pydot.Edge(below, corner, arrowhead="none", weight=0))
    graph.add_edge(pydot.Edge(corner, top, arrowhead="none", weight=10))
    graph.add_edge(pydot.Edge(top, f"{name} map"))
    return [top, f"{name} map"]


def _rank(names: list[str]) -> pydot.Subgraph:
    level = pydot.Subgraph(rank="same")
    for name in names:
        level.add_node(pydot.Node(name))
    return level


def _folded(groups: list[Group], answers: list[str]) -> list[Group]:
    """Merges equal modules in a row; the layers that took the last one's output now take the first one's."""
    by_name = {node.name: node for group in groups for node in group.boxes}
    consumers = Counter(name for node in by_name.values() for name in set(node.parents))
    consumers.update(answers)

    def signature(group: Group) -> tuple[Any, ...]:
        inside = {node.name: number for number, node in enumerate(group.boxes)}
        return tuple(
            (node.kind, node.label, node.shape, *(inside.get(name, by_name[name].shape) for name in node.parents))
            for node in group.boxes
        )

    kept: list[Group] = []
    last_of: dict[str, tuple[Group, Group]] = {}
    renamed: dict[str, str] = {}
    for group in groups:
        members = {node.name for node in group.boxes}
        sources = {name for node in group.boxes for name in node.parents} - members
        run, last = last_of.get(next(iter(sources)), (None, None)) if len(sources) == 1 else (None, None)
        uses = sum(set(node.parents) >= sources for node in group.boxes)
        if (
            run
            and last
            and signature(run) == signature(last) == signature(group)
            and consumers[next(iter(sources))] == uses
        ):
            run.copies.append(group.name)
            renamed.update(zip((n.name for n in group.boxes), (n.name for n in run.boxes), strict=True))
        else:
            kept.append(run := group)
        if group.is_module:
            last_of[group.boxes[-1].name] = (run, group)
    for group in kept:
        for node in group.boxes:
            node.parents = [renamed.get(name, name) for name in node.parents]
    answers[:] = [renamed.get(name, name) for name in answers]
    return kept


def _columns(groups: list[Group], home: dict[str, Group], answers: list[str]) -> list[list[Group]]:
    """Cuts the trunk into columns where a single tensor passes, so that the picture comes near `ASPECT_RATIO`."""
    before: dict[str, set[str]] = {}
    sources = {
        group.name: {name for node in group.boxes for name in node.parents if home[name] is not group}
        for group in groups
    }
    for group in groups:
        parents = {home[name].name for name in sources[group.name]}
        before[group.name] = {group.name}.union(*(before[name] for name in parents))
    trunk_names = max((before[home[name].name] for name in answers), key=len)
    trunk = [group for group in groups if group.name in trunk_names]

    def may_start(position: int) -> bool:
        earlier = {node.name for group in trunk[:position] for node in group.boxes}
        return len(earlier.intersection(*[set().union(*(sources[group.name] for group in trunk[position:]))])) == 1

    starts = {position for position in range(2, len(trunk)) if may_start(position)}
    heights = [_extent(group)[1] for group in trunk]
    widths = [_extent(group)[0] for group in trunk]
    side = {home[name].name for group in groups if group not in trunk for name in sources[group.name]}
    widths = [
        width + (1.2 if position and trunk[position - 1].name in side else 0) for position, width in enumerate(widths)
    ]

    choices: dict[int, tuple[float, list[tuple[int, int]]]] = {}  # the most even cuts for each number of columns
    for limit in range(math.ceil(max(heights)), math.ceil(sum(heights)) + 1):
        cuts, height = [0], 0.0
        for position, extent in enumerate(heights):
            if height + extent > limit and position in starts:
                cuts.append(position)
                height = 0.0
            height += extent
        spans = list(zip(cuts, [*cuts[1:], len(trunk)], strict=True))
        ratio = sum(max(widths[a:b]) for a, b in spans) / (1 + max(sum(heights[a:b]) for a, b in spans))
        choices.setdefault(len(spans), (abs(math.log(ratio / ASPECT_RATIO)), spans))
    spans = min(choices.values())[1]
    columns = [trunk[a:b] for a, b in spans]
    for group in groups:
        if group not in trunk:
            beside = {home[name].name for name in sources[group.name]}
            followers = [
                column for column in columns for other in column if {home[n].name for n in sources[other.name]} & beside
            ]
            column = (
                followers or [column for column in columns for other in column if other.name in beside] or columns
            )[0]
            column.append(group)
    return columns


def _extent(group: Group) -> tuple[float, float]:
    """Estimates the width and height that a group will have in the picture, in inches."""
    level: dict[str, int] = {}
    for node in group.boxes:
        level[node.name] = 1 + max((level.get(name, 0) for name in node.parents), default=0)
    width = 0.75 * max(Counter(level.values()).values()) + 0.6
    return width, 0.62 * max(level.values()) + (0.9 if group.is_module else 0.4)


def _draw_group(group: Group, box: pydot.Cluster, colors: dict[str, str]) -> None:
    if group.is_module:
        cluster = pydot.Cluster(
            group.name.replace(":", "_"),
            label="",
            style="rounded,filled",
            color="#999999",
            fillcolor="#F6F6F6",
            margin=7,
            peripheries=1,
        )
        box.add_subgraph(cluster)  # type: ignore[arg-type]  # as above
        box = cluster
        # Edges would cross the title if it were the label of the cluster; beside the last node there is room for it.
        title, last = f"{group.name} title", group.boxes[-1].name
        box.add_node(
            pydot.Node(title, label=group.title, shape="plaintext", style="", margin=0.03, fontsize=SMALL_PRINT + 1)
        )
        box.add_subgraph(_rank([title, last]))
        box.add_edge(pydot.Edge(title, last, style="invis", weight=0))
    for node in group.boxes:
        box.add_node(_box_node(node, colors))


def box_colors(nodes: Iterable[Box]) -> dict[str, str]:
    """Returns the colour of each kind of box.

    Args:
        nodes: The boxes of a model.
    """
    kinds = [kind for kind, _ in Counter(node.kind for node in nodes).most_common()]
    convolutions = [kind for kind in kinds if kind.startswith("convolution")]
    tints = [*CONVOLUTION_COLORS, *CONVOLUTION_COLORS[-1:] * len(convolutions)]
    return {**COLORS, **dict(zip(convolutions, tints, strict=False))}


def _title(model: keras.Model, nodes: list[Box]) -> str:
    """Returns the name, totals and legend of a model as an HTML label of Graphviz."""
    totals = [f"{model.count_params():,} parameters"]
    with contextlib.suppress(ValueError):  # they depend on the size of the input, which may be unknown
        totals.append(f"{count_multiply_adds(model):,} multiply-adds")
    colors = box_colors(nodes)
    kinds = [kind for kind in colors if kind not in ("input", "other") and any(node.kind == kind for node in nodes)]
    kinds.sort(key=lambda kind: not kind.startswith("convolution"))
    row = f'<tr><td border="0" colspan="{len(kinds)}"><font point-size='
    cells = "".join(f'<td border="1" bgcolor="{colors[kind]}">{kind}</td>' for kind in kinds)
    return (
        '<<table border="0" cellspacing="6" cellpadding="4">'
        f'{row}"22"><b>{html.escape(model.name)}</b></font></td></tr>'
        f'{row}"13">{", ".join(totals)}</font></td></tr>'
        f"<tr>{cells}</tr></table>>"
    )
