"""The architecture as a page for a browser: the picture, and below it every module, to be opened and closed."""

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
    """Writes a page that shows a model's picture and lists its modules, each of which opens to a picture of its own.

    The page is one file, and needs neither a server nor a connection. A click on the picture opens the module that was
    clicked on, and so does the address ``PAGE#MODULE``.

    Args:
        model: A built Keras model, functional or sequential.
        path: The HTML file to write. It is replaced only by a whole page.
        stages: Names of the layers that end a stage, as `describe_model` takes them. With them the page also shows the
            table of that function.

    Raises:
        ValueError: If the model has no graph of layers, or `describe_model` refuses the stages.
        OSError: If the file cannot be written.
        RuntimeError: If Graphviz fails; the message is its own.
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
    """A module or a single box in the list.

    Attributes:
        name: Its own.
        layers: Names of the boxes in it: what a click on the picture finds it by.
        type: The type of the stage.
        output: The size of the feature map that it gives.
        parameters: All numbers in its layers.
        multiply_adds: For one image; None where the input's size is not known.
        drawing: The picture of a module, SVG.
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
    """Counts the boxes of each kind in a module."""
    counts = Counter(box.kind.split(" + ")[0] for box in group.boxes)
    plurals = {"convolution": "convolutions"}
    return ", ".join(f"{number} {plurals.get(kind, kind) if number > 1 else kind}" for kind, number in counts.items())


def _inline(svg: str) -> str:
    """A picture of Graphviz as a part of a page: without identifiers, which pages may hold once, and with titles.

    Browsers show the text of `title` when a box is pointed at, and not all of them that of Graphviz's `xlink:title`.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<(g|a) id="[^"]*"', r"<\1", svg)
    svg = re.sub(r'<a xlink:title="([^"]*)">', r"<g><title>\1</title>", svg)
    return svg.replace("</a>", "</g>")
