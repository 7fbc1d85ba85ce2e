"""The picture people look at: one box per Inception module, folded into columns, whole at a glance."""

import contextlib
import html
import itertools
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import pydot
from keras import layers

from googlenet_keras.describe.cost import count_multiply_adds, layer_multiply_adds
from googlenet_keras.describe.graph import calls
from googlenet_keras.describe.pictures import DOTS_PER_INCH, FONT, draw

# Paul Tol's "light" scheme (https://personal.sron.nl/~pault), made for black text and for colour-blind readers.
COLORS = {
    "input": "#FFFFFF",
    "pooling": "#EE8866",
    "normalization": "#44BB99",
    "concatenation": "#DDDDDD",
    "addition": "#FFAABB",
    "dense": "#EEDD88",
    "other": "#FFFFFF",
}
# The commonest kind of convolution in a model (say, with batch normalization and ReLU), the next, and any others.
CONVOLUTION_COLORS = ("#77AADD", "#99DDFF", "#BBCC33")
SMALL_PRINT = 10  # points
ASPECT_RATIO = 1.2
# Layers that are part of the one before: they change no map, or only its border or shape.
_INVISIBLE = (layers.ZeroPadding2D, layers.Flatten)
_PARTS = (layers.BatchNormalization, layers.ReLU, layers.Activation, layers.Softmax, layers.Dropout, layers.Rescaling)


@dataclass
class _Node:
    """A layer with what is folded into it; `parents` are the names of nodes, `called` the layers that are in it."""

    name: str
    kind: str
    lines: list[str]
    shape: tuple[int | None, ...]
    parents: list[str]
    called: list[Any]
    parts: list[str] = field(default_factory=list)

    @property
    def layers(self) -> list[str]:
        return [layer.name for layer in self.called]

    @property
    def tooltip(self) -> str:
        """What the box has no room for: name, size, parameters and multiply-adds."""
        lines = [self.name, f"output {_size(self.shape)}"]
        parameters = sum(layer.count_params() for layer in self.called if isinstance(layer, layers.Layer))
        if parameters:
            lines.append(f"{parameters:,} parameters")
        with contextlib.suppress(ValueError):  # the size may not be known
            multiply_adds = sum(layer_multiply_adds(layer) for layer in self.called if isinstance(layer, layers.Layer))
            if multiply_adds:
                lines.append(f"{multiply_adds:,} multiply-adds")
        return "\n".join(lines)

    @property
    def label(self) -> str:
        # A convolution's parts are told by its colour.
        told = self.kind.startswith("convolution")
        notes = [part for part in self.parts if not (told and part in self.kind.split(" + "))]
        return "\n".join([*self.lines, *notes])


@dataclass
class _Group:
    """A module, or a node on its own; `copies` are the names of the equal modules that are drawn as this one."""

    name: str
    nodes: list[_Node]
    copies: list[str]

    @property
    def title(self) -> str:
        return self.name if len(self.copies) == 1 else f"{self.name} …\n{self.copies[-1]}\nx {len(self.copies)}"

    @property
    def is_module(self) -> bool:
        return len(self.nodes) > 1


def plot_architecture(model: keras.Model, path: str | Path, *, dpi: int = DOTS_PER_INCH) -> None:
    """Draws a model as papers do: its modules with their branches side by side, in columns that fit a page.

    Batch normalization, activations, padding and dropout are drawn with the layer they follow; equal modules in a row
    are drawn once, with their number. For every single layer see `plot_model`.

    Args:
        model: A built Keras model, functional or sequential.
        path: The picture to write; its suffix (``.png``, ``.svg``, ``.pdf``) is the format. It is replaced only by a
            whole picture.
        dpi: Dots per inch of a bitmap; the smallest letters are 10 points high.

    Raises:
        ValueError: If the model has no graph, or the bitmap would exceed what Graphviz can draw at full size.
        RuntimeError: If Graphviz fails; the message is its own.
    """
    draw(architecture_graph(model).to_string(), path, dpi=dpi)


def architecture_graph(model: keras.Model) -> pydot.Dot:
    """The picture of `plot_architecture` as a graph.

    A module is a layer that joins branches, or an answer of the model, together with the layers before it whose names
    start with its name and ``_``. It becomes a cluster of its name; all other layers are nodes on their own. A tensor
    on its way from one module to the next is a node ``NAME map`` that shows its size.

    Args:
        model: A built Keras model, functional or sequential.

    Returns:
        The graph; its nodes are called as the layers are, and its label is the title with the legend.

    Raises:
        ValueError: If the model has no graph of layers, as a subclassed one.
    """
    nodes, answers = _read(model)
    groups = _folded(_grouped(nodes, answers), answers)
    home = {node.name: group for group in groups for node in group.nodes}
    columns = _columns(groups, home, answers)
    column_of = {group.name: number for number, column in enumerate(columns) for group in column}

    nodes = [node for group in groups for node in group.nodes]
    graph = pydot.Dot(
        "architecture",
        label=_title(model, nodes),
        labelloc="t",
        fontname=FONT,
        pad=0.25,
        nodesep=0.12,
        ranksep=0.22,
        newrank=True,
    )
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
    colors = _colors(nodes)
    boxes = [pydot.Cluster(f"column {number}", peripheries=0, margin=14, label="") for number in range(len(columns))]
    for box, column in zip(boxes, columns, strict=True):
        for group in column:
            _draw_group(group, box, colors)
        graph.add_subgraph(box)  # type: ignore[arg-type]  # pydot takes a cluster too, whatever its hint says

    sources = {node.name: node for node in nodes}
    targets: dict[str, list[str]] = {name: [] for name in answers if sources[name].kind != "dense"}
    for node in nodes:
        for name in node.parents:
            if home[name] is home[node.name] or sources[name].kind == "input":
                graph.add_edge(pydot.Edge(name, node.name, weight=3))
            else:
                targets.setdefault(name, []).append(node.name)
    tops = [columns[0][0].nodes[0].name]
    for name, followers in targets.items():
        here = column_of[home[name].name]
        there = min((column_of[home[follower].name] for follower in followers), default=here)
        size = pydot.Node(
            f"{name} map",
            label=_size(sources[name].shape),
            shape="plaintext",
            style="",
            height=0.2,
            margin="0.05,0.02",
            ordering="out",
        )
        boxes[there].add_node(size)
        if here == there:
            graph.add_edge(pydot.Edge(name, f"{name} map", arrowhead="none", weight=10))
        else:
            ends = [group.nodes[-1].name for group in columns[here][1:] if group.nodes[-1].name not in targets]
            tops += _turn(graph, boxes[here], boxes[there], name, ends)
        for follower in followers:
            graph.add_edge(pydot.Edge(f"{name} map", follower, weight=3))
        branches = [follower for follower in followers if sources[follower].parents == [name]]
        graph.add_subgraph(_rank(branches))
        for left, right in itertools.pairwise(branches):
            graph.add_edge(pydot.Edge(left, right, style="invis", weight=0))
    graph.add_subgraph(_rank(tops))
    return graph


def _turn(graph: pydot.Dot, here: pydot.Cluster, there: pydot.Cluster, name: str, ends: list[str]) -> list[str]:
    """Leads a tensor from the bottom of a column along the next one's left to its top; returns what is on top."""
    below, corner, top = (f"{name} {place}" for place in ("below", "corner", "top"))
    for cluster, place in ((here, below), (there, corner), (there, top)):
        cluster.add_node(pydot.Node(place, shape="point", width=0.01, height=0.01, style="invis", label=""))
    graph.add_subgraph(_rank([below, corner]))
    for end in ends:
        graph.add_edge(pydot.Edge(end, below, style="invis", weight=0))
    graph.add_edge(pydot.Edge(name, below, arrowhead="none"))
    # With weight it would draw the column's end to the right.
    graph.add_edge(pydot.Edge(below, corner, arrowhead="none", weight=0))
    graph.add_edge(pydot.Edge(corner, top, arrowhead="none", weight=10))
    graph.add_edge(pydot.Edge(top, f"{name} map"))
    return [top, f"{name} map"]


def _rank(names: list[str]) -> pydot.Subgraph:
    level = pydot.Subgraph(rank="same")
    for name in names:
        level.add_node(pydot.Node(name))
    return level


def _read(model: keras.Model) -> tuple[list[_Node], list[str]]:
    """Nodes from input to output, parts folded in, and the names of those that answer."""
    uses, answers = calls(model)
    consumers = Counter(parent for call in uses for parent in call.parents)
    nodes: dict[str, _Node] = {}
    owner: list[str] = []
    for layer, before, shape in uses:
        parents = list(dict.fromkeys(owner[parent] for parent in before))
        sole = len(before) == 1 and consumers[before[0]] == 1
        if parents and (isinstance(layer, _INVISIBLE) or (isinstance(layer, _PARTS) and sole)):
            node = nodes[parents[0]]
            node.called.append(layer)
            node.parts += _parts(layer)
        else:
            # A layer that is called twice is drawn twice.
            name = layer.name.replace(":", "_")
            name = name if name not in nodes else f"{name} {len(nodes)}"
            kind, lines = _description(layer, shape)
            node = nodes[name] = _Node(name, kind, lines, shape, parents, [layer], _activation(layer))
        owner.append(node.name)
    for node in nodes.values():
        if node.kind == "convolution":
            node.kind = " + ".join(["convolution", *(part for part in node.parts if part in ("BN", "ReLU"))])
    return list(nodes.values()), list(dict.fromkeys(owner[answer] for answer in answers))


def _description(layer: Any, shape: tuple[int | None, ...]) -> tuple[str, list[str]]:
    """What kind a layer is of, and what is written in its node."""
    name = type(layer).__name__
    kind, lines = "other", [name]
    if isinstance(layer, layers.InputLayer):
        kind, lines = "input", ["input", _size(shape)]
    elif isinstance(layer, layers.Dense):
        kind, lines = "dense", [f"dense {layer.units}"]
    elif isinstance(layer, layers.Concatenate):
        kind, lines = "concatenation", ["concat"]
    elif name == "Add":
        kind, lines = "addition", ["add"]
    elif "Normalization" in name:
        kind, lines = "normalization", ["LRN" if name == "LocalResponseNormalization" else name]
    elif "Pooling" in name:
        kind, lines = "pooling", [("global " if "Global" in name else "") + ("max" if "Max" in name else "avg")]
        if "Adaptive" in name:
            lines.append(f"to {_size(layer.output_size)}")
        elif "Global" not in name:
            lines.append(f"{_square(layer.pool_size)}/{_stride(layer)}")
    elif "Conv" in name and hasattr(layer, "kernel_size"):
        sort = name.replace("Conv2D", " ").strip().lower()
        kind, lines = "convolution", [f"{_square(layer.kernel_size)}/{_stride(layer)}", str(shape[-1])]
        if sort:
            lines.insert(0, sort)
        if getattr(layer, "groups", 1) > 1:
            lines.append(f"{layer.groups} groups")
    return kind, lines


def _activation(layer: Any) -> list[str]:
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    return {"linear": [], "relu": ["ReLU"]}.get(name, [name])


def _parts(layer: Any) -> list[str]:
    """What a folded layer leaves in the node that it is part of."""
    if isinstance(layer, layers.Activation):
        return _activation(layer)
    if isinstance(layer, layers.Dropout):
        return [f"dropout {layer.rate:g}"]
    if isinstance(layer, layers.Rescaling):
        return [f"scale {layer.scale:g}"]
    words = {layers.BatchNormalization: "BN", layers.ReLU: "ReLU", layers.Softmax: "softmax"}
    return [word for kind, word in words.items() if isinstance(layer, kind)]


def _grouped(nodes: list[_Node], answers: list[str]) -> list[_Group]:
    """Modules and single nodes, in the order of the nodes they end in."""
    candidates = []
    for position, node in enumerate(nodes):
        if len(node.parents) > 1 or node.name in answers:
            for name in node.layers:
                members = [other for other in nodes if other is node or other.name.startswith(f"{name}_")]
                if len(members) > 2 and nodes.index(members[-1]) == position:
                    candidates.append(_Group(name, _by_branch(node, members), [name]))
    module_of: dict[str, _Group] = {}
    for group in sorted(candidates, key=lambda group: -len(group.nodes)):
        if not any(node.name in module_of for node in group.nodes):
            module_of.update({node.name: group for node in group.nodes})
    groups = [module_of.get(node.name) or _Group(node.name, [node], [node.name]) for node in nodes]
    ends = {group.name: (position, group) for position, group in enumerate(groups)}
    return [group for _, group in sorted(ends.values(), key=lambda end: end[0])]


def _by_branch(join: _Node, members: list[_Node]) -> list[_Node]:
    """The nodes of a module, branch by branch in the order in which they are joined."""
    by_name = {node.name: node for node in members}
    order: dict[str, _Node] = {}

    def visit(node: _Node) -> None:
        for name in node.parents:
            if name in by_name and name not in order:
                visit(by_name[name])
        order[node.name] = node

    visit(join)
    return [*(node for node in members if node.name not in order), *order.values()]


def _folded(groups: list[_Group], answers: list[str]) -> list[_Group]:
    """Equal modules one after the other become one; what took the last one's output takes the first one's."""
    by_name = {node.name: node for group in groups for node in group.nodes}
    consumers = Counter(name for node in by_name.values() for name in set(node.parents))
    consumers.update(answers)

    def signature(group: _Group) -> tuple[Any, ...]:
        inside = {node.name: number for number, node in enumerate(group.nodes)}
        return tuple(
            (node.kind, node.label, node.shape, *(inside.get(name, by_name[name].shape) for name in node.parents))
            for node in group.nodes
        )

    kept: list[_Group] = []
    last_of: dict[str, tuple[_Group, _Group]] = {}
    renamed: dict[str, str] = {}
    for group in groups:
        members = {node.name for node in group.nodes}
        sources = {name for node in group.nodes for name in node.parents} - members
        run, last = last_of.get(next(iter(sources)), (None, None)) if len(sources) == 1 else (None, None)
        uses = sum(set(node.parents) >= sources for node in group.nodes)
        if (
            run
            and last
            and signature(run) == signature(last) == signature(group)
            and consumers[next(iter(sources))] == uses
        ):
            run.copies.append(group.name)
            renamed.update(zip((n.name for n in group.nodes), (n.name for n in run.nodes), strict=True))
        else:
            kept.append(run := group)
        if group.is_module:
            last_of[group.nodes[-1].name] = (run, group)
    for group in kept:
        for node in group.nodes:
            node.parents = [renamed.get(name, name) for name in node.parents]
    answers[:] = [renamed.get(name, name) for name in answers]
    return kept


def _columns(groups: list[_Group], home: dict[str, _Group], answers: list[str]) -> list[list[_Group]]:
    """Cuts the trunk where a single tensor passes, for a picture near the wanted ratio of width to height."""
    before: dict[str, set[str]] = {}
    sources = {
        group.name: {name for node in group.nodes for name in node.parents if home[name] is not group}
        for group in groups
    }
    for group in groups:
        parents = {home[name].name for name in sources[group.name]}
        before[group.name] = {group.name}.union(*(before[name] for name in parents))
    trunk_names = max((before[home[name].name] for name in answers), key=len)
    trunk = [group for group in groups if group.name in trunk_names]

    def may_start(position: int) -> bool:
        earlier = {node.name for group in trunk[:position] for node in group.nodes}
        return len(earlier.intersection(*[set().union(*(sources[group.name] for group in trunk[position:]))])) == 1

    starts = {position for position in range(2, len(trunk)) if may_start(position)}
    heights = [_extent(group)[1] for group in trunk]
    widths = [_extent(group)[0] for group in trunk]
    side = {home[name].name for group in groups if group not in trunk for name in sources[group.name]}
    widths = [
        width + (1.2 if position and trunk[position - 1].name in side else 0) for position, width in enumerate(widths)
    ]

    choices: dict[int, tuple[float, list[tuple[int, int]]]] = {}  # by number of columns, the most even
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


def _extent(group: _Group) -> tuple[float, float]:
    """Width and height that a group will take, roughly, in inches."""
    level: dict[str, int] = {}
    for node in group.nodes:
        level[node.name] = 1 + max((level.get(name, 0) for name in node.parents), default=0)
    width = 0.75 * max(Counter(level.values()).values()) + 0.6
    return width, 0.62 * max(level.values()) + (0.9 if group.is_module else 0.4)


def _draw_group(group: _Group, box: pydot.Cluster, colors: dict[str, str]) -> None:
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
        # As a label of the cluster it would be crossed by edges; beside the last node there is room.
        title, last = f"{group.name} title", group.nodes[-1].name
        box.add_node(
            pydot.Node(title, label=group.title, shape="plaintext", style="", margin=0.03, fontsize=SMALL_PRINT + 1)
        )
        box.add_subgraph(_rank([title, last]))
        box.add_edge(pydot.Edge(title, last, style="invis", weight=0))
    for node in group.nodes:
        box.add_node(pydot.Node(node.name, label=node.label, fillcolor=colors[node.kind], tooltip=node.tooltip))


def _colors(nodes: Iterable[_Node]) -> dict[str, str]:
    """The colour of each kind that there is."""
    kinds = [kind for kind, _ in Counter(node.kind for node in nodes).most_common()]
    convolutions = [kind for kind in kinds if kind.startswith("convolution")]
    tints = [*CONVOLUTION_COLORS, *CONVOLUTION_COLORS[-1:] * len(convolutions)]
    return {**COLORS, **dict(zip(convolutions, tints, strict=False))}


def _title(model: keras.Model, nodes: list[_Node]) -> str:
    """Name, totals and legend as one of Graphviz's HTML labels."""
    totals = [f"{model.count_params():,} parameters"]
    with contextlib.suppress(ValueError):  # they depend on a size that may not be known
        totals.append(f"{count_multiply_adds(model):,} multiply-adds")
    colors = _colors(nodes)
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


def _size(shape: Iterable[int | None]) -> str:
    return "x".join("?" if extent is None else str(extent) for extent in shape)


def _square(extents: int | tuple[int, ...]) -> str:
    return _size(extents if isinstance(extents, tuple | list) else (extents, extents))


def _stride(layer: Any) -> str:
    strides = layer.strides if isinstance(layer.strides, tuple | list) else (layer.strides,)
    return str(strides[0]) if len(set(strides)) == 1 else _size(strides)
