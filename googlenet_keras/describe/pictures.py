"""Draws pictures of models with Graphviz, on machines with or without ``dot`` and fonts."""

import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras

from googlenet_keras.files import write_aside

FONT = "DejaVu Sans"
# At 96 dots per inch the small letters of Keras's node labels (14 pt) are 18 pixels high, and at 47 they are 9.
DOTS_PER_INCH = 96
FEWEST_DOTS_PER_INCH = 47
# A Cairo bitmap has at most this many pixels a side. Graphviz does not fail above it, but scales the picture down.
CAIRO_LIMIT = 32_767

# pygraphviz contains the Graphviz libraries but no `dot`. A separate process returns the same as `dot -Tpng`, and keeps
# the libraries' messages and crashes out of ours.
_PYGRAPHVIZ = """
import sys
import pygraphviz
for source in sys.stdin.buffer.read().decode().split("\\0"):
    graph = pygraphviz.AGraph(string=source)
    sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""

_FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{fonts}</dir>
  <cachedir>{cache}</cachedir>
</fontconfig>
"""


def plot_model(model: keras.Model, path: str | Path, *, dpi: int | None = None) -> None:
    """Draws every layer of a model with its name and shapes, at full size.

    The diagram is that of `keras.utils.plot_model`, but it needs neither ``dot`` nor a font on the machine, and is
    never silently scaled down.

    Args:
        model: A built Keras model.
        path: The picture file to write; its suffix (``.png``, ``.svg``, ``.pdf``) sets the format. An existing file is
            replaced only when the new picture is complete.
        dpi: Dots per inch of a bitmap; None means 96, or fewer for a very tall picture that would not fit otherwise.

    Raises:
        ValueError: If the bitmap would exceed what Graphviz can draw at full size (32,767 pixels a side), or would need
            letters of less than 9 pixels to stay below that. SVG has no such limit.
        RuntimeError: If Graphviz fails; the message includes the error of Graphviz.
    """
    graph = keras.utils.model_to_dot(model, show_shapes=True, show_layer_names=True)
    for node in graph.get_nodes():
        node.set("fontname", FONT)
    source = graph.to_string()
    try:
        draw(source, path, dpi=dpi or DOTS_PER_INCH)
    except PictureTooLargeError:
        if dpi:
            raise
        draw(source, path, dpi=max(FEWEST_DOTS_PER_INCH, _dots_that_fit(source)))


def draw(source: str, path: str | Path, *, dpi: int = DOTS_PER_INCH) -> None:
    """Draws a graph into a file, which is replaced only when the new picture is complete.

    Args:
        source: The graph in the DOT language.
        path: The picture file to write; its suffix sets the format.
        dpi: Dots per inch of a bitmap.

    Raises:
        PictureTooLargeError: See `render`.
        RuntimeError: See `render`.
    """
    path = Path(path)
    picture = render(source, path.suffix.removeprefix(".") or "png", dpi=dpi)
    with write_aside(path) as file:
        file.write(picture)


class PictureTooLargeError(ValueError):
    """Raised if Graphviz would have to scale a bitmap down."""


def _dots_that_fit(source: str) -> int:
    """Computes the most dots per inch at which Cairo draws a graph at full size."""
    (frame, *_) = re.findall(rb'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', render(source, "svg"))
    return int((CAIRO_LIMIT - 1) * 72 / max(map(float, frame)))


def render(source: str, format: str = "png", *, dpi: int = DOTS_PER_INCH) -> bytes:
    """Lays out and draws a graph with Graphviz's ``dot``, or with pygraphviz's libraries if ``dot`` is not installed.

    The only font is DejaVu Sans, which comes with matplotlib, so that pictures have letters on a machine without fonts,
    and the same letters everywhere.

    Args:
        source: The graph in the DOT language.
        format: ``"png"``, ``"svg"`` or ``"pdf"``.
        dpi: Dots per inch of a bitmap; SVG and PDF are drawn in points.

    Returns:
        The bytes of the picture.

    Raises:
        PictureTooLargeError: If a PNG reaches Cairo's limit, at which Graphviz would have to scale it down.
        RuntimeError: If Graphviz fails; the message includes the error of Graphviz.
    """
    picture = _run([source], format, dpi)
    if format == "png" and max(png_size(picture)) >= CAIRO_LIMIT:
        raise PictureTooLargeError(
            f"At {dpi} dots per inch the picture exceeds {CAIRO_LIMIT} pixels a side, above which Graphviz scales it "
            f"down: choose fewer dots per inch, or SVG. Received: {png_size(picture)} pixels"
        )
    return picture


def render_svgs(sources: Sequence[str]) -> list[str]:
    """Draws many graphs as SVG in one process of Graphviz, because its start takes longer than drawing a small graph.

    Args:
        sources: The graphs in the DOT language.

    Returns:
        The SVG documents, in the same order.

    Raises:
        RuntimeError: See `render`.
    """
    documents = re.split(r"(?=<\?xml )", _run(sources, "svg", DOTS_PER_INCH).decode())
    return [document for document in documents if document.strip()]


def _run(sources: Sequence[str], format: str, dpi: int) -> bytes:
    """Runs Graphviz and returns the pictures of all graphs, one after the other.

    Raises:
        RuntimeError: See `render`.
    """
    # With any other value, Graphviz 2 writes an SVG that is larger than its own frame.
    dots = str(dpi if format == "png" else 72)
    dot = shutil.which("dot")
    command = [dot, f"-T{format}"] if dot else [sys.executable, "-c", _PYGRAPHVIZ, format]
    setting = f'graph [dpi={dots}, fontname="{FONT}"];\n}}\n'
    graphs = [f"{source.rstrip().removesuffix('}')}\n{setting}" for source in sources]
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            command,
            input=("" if dot else "\0").join(graphs).encode(),
            env={**os.environ, "FONTCONFIG_FILE": str(_font_configuration(Path(folder)))},
            capture_output=True,
            check=False,
        )
    message = result.stderr.decode(errors="replace").strip()
    if result.returncode or not result.stdout:
        reason = message.splitlines()[-1] if message else f"exit status {result.returncode}"
        raise RuntimeError(f"Graphviz could not draw the picture: {reason}")
    return result.stdout


def png_size(png: bytes) -> tuple[int, int]:
    """Returns the width and height in pixels from the header of a PNG."""
    return struct.unpack(">II", png[16:24])


def _font_configuration(folder: Path) -> Path:
    """Writes a fontconfig file that lists the fonts of matplotlib, DejaVu Sans among them, and no others."""
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    configuration = folder / "fonts.conf"
    configuration.write_text(_FONTCONFIG.format(fonts=fonts, cache=folder / "cache"))
    return configuration
