"""Writes a model's architecture as an HTML page: the picture, and below it all modules, which open and close."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from googlenet_keras.describe.architecture import architecture_graph, box_colors, module_graph
from googlenet_keras.describe.modules import Group, grouped, read_boxes, size_text
from googlenet_keras.describe.pictures import render_svgs
from googlenet_keras.describe.stages import describe_model
from googlenet_keras.describe.tables import stage_columns
from googlenet_keras.files import write_aside

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def write_architecture_page(model: keras.Model, path: str | Path, *, stages: Sequence[str] = ()) -> None:
    """Writes an HTML page with a model's picture and a list of its modules, each of which opens to its own picture.

    The page is a single file and needs neither a server nor an internet connection. A click on a module in the picture
    opens it in the list, and so does the address ``PAGE#MODULE``.

    Args:
        model: A built Keras model, functional or sequential.
        path: The HTML file to write. An existing file is replaced only when the new page is complete.
        stages: The names of the layers that end a stage, as in `describe_model`. If there are any, the page also shows
            the table of that function.

    Raises:
        ValueError: If the model has no graph of layers, or if `describe_model` rejects the model or the stages.
        OSError: If the file cannot be written.
        RuntimeError: If Graphviz fails; the message includes the error of Graphviz.
    """
    import jinja2

    boxes, answers = read_boxes(model)
    groups = grouped(boxes, answers)
    by_name, colors = {box.name: box for box in boxes}, box_colors(boxes)
    modules = [group for group in groups if group.is_module]
    graphs = [architecture_graph(model), *(module_graph(module, by_name, colors) for module in modules)]
    picture, *drawn = [_inline(svg) for svg in render_svgs([graph.to_string() for graph in graphs])]
    drawings = {module.name: svg for module, svg in zip(modules, drawn, strict=True)}
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        name=model.name,
        picture=picture,
        rows=[_Row.of(group, drawings.get(group.name)) for group in groups],
        columns=stage_columns(describe_model(model, stages)) if stages else None,
    )
    with write_aside(Path(path)) as file:
        file.write(page.encode())


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A row of the list: a module or a single box.

    Attributes:
        name: The name of the module or box.
        layers: The names of the boxes in it, by which a click on the picture finds the row.
        type: The number of boxes of each kind in a module, or the text of a single box.
        output: The size of the output.
        parameters: The number of all parameters of its layers.
        multiply_adds: The number of multiply-adds for one image; None if the size of the input is unknown.
        drawing: The picture of a module as SVG; None for a single box.
    """

    name: str
    layers: list[str]
    type: str
    output: str
    parameters: int
    multiply_adds: int | None
    drawing: str | None

    @classmethod
    def of(cls, group: Group, drawing: str | None) -> "_Row":
        end = group.boxes[-1]
        known = [box.multiply_adds for box in group.boxes if box.multiply_adds is not None]
        return cls(
            name=group.name,
            layers=[box.name for box in group.boxes],
            type=_kinds(group) if group.is_module else end.label.replace("\n", ", "),
            output=size_text(end.shape),
            parameters=sum(box.parameters for box in group.boxes),
            multiply_adds=sum(known) if len(known) == len(group.boxes) else None,
            drawing=drawing,
        )


def _kinds(group: Group) -> str:
    """Describes how many boxes of each kind a module has."""
    counts = Counter(box.kind.split(" + ")[0] for box in group.boxes)
    plurals = {"convolution": "convolutions"}
    return ", ".join(f"{number} {plurals.get(kind, kind) if number > 1 else kind}" for kind, number in counts.items())


def _inline(svg: str) -> str:
    """Turns an SVG of Graphviz into a part of a page: removes identifiers, which must be unique there, and adds titles.

    Browsers show the text of `title` when the user points at a box, but not all of them show Graphviz's `xlink:title`.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<(g|a) id="[^"]*"', r"<\1", svg)
    svg = re.sub(r'<a xlink:title="([^"]*)">', r"<g><title>\1</title>", svg)
    return svg.replace("</a>", "</g>")
