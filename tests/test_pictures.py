"""Pictures are whole, at full size and have letters, on a bare machine too."""

import os
import re
import shutil
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from googlenet_keras import create_model, plot_model
from googlenet_keras.describe import pictures
from googlenet_keras.describe.pictures import png_size, render


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without `dot` on the PATH and with a fontconfig that knows no font."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert shutil.which("dot") is None
    return tmp_path


def glyph(letter):
    return render(f'digraph {{ node [shape=none, fontname="{pictures.FONT}", fontsize=40]; a [label="{letter}"]; }}')


# Of the same width in DejaVu Sans: as boxes for missing letters they could not be told apart.
LOOK_ALIKES = "OQ"


@pytest.mark.usefixtures("bare")
def test_letters_without_dot_and_without_fonts():
    first, second = (glyph(letter) for letter in LOOK_ALIKES)
    assert png_size(first) == png_size(second)
    assert first != second


@pytest.mark.usefixtures("bare")
def test_the_test_of_letters_can_fail(monkeypatch):
    """With the machine's own (absent) fonts the letters are boxes: the fixture does take the fonts away."""
    monkeypatch.setattr(pictures, "_font_configuration", lambda folder: os.environ["FONTCONFIG_FILE"])
    first, second = (glyph(letter) for letter in LOOK_ALIKES)
    assert first == second


@pytest.fixture(scope="module")
def model(network):
    return network("mnist_inception")


@pytest.mark.usefixtures("bare")
def test_diagram_on_a_bare_machine(model, tmp_path):
    plot_model(model, tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        assert np.asarray(picture.convert("L")).min() == 0


def test_dot_is_used_where_there_is_one(monkeypatch, tmp_path):
    dot = tmp_path / "dot"
    dot.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\necho drawn\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert render("digraph {}", "svg") == b"drawn\n"
    assert (tmp_path / "called").read_text() == "-Tsvg\n"


def test_dots_failure_is_told(model, monkeypatch, tmp_path):
    dot = tmp_path / "dot"
    dot.write_text('#!/bin/sh\necho "Error: no layout" >&2\nexit 1\n')
    dot.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match="Error: no layout"):
        render("digraph {}")
    with pytest.raises(RuntimeError, match="could not draw"):
        plot_model(model, tmp_path / "picture.png")
    assert not (tmp_path / "picture.png").exists()


@pytest.mark.parametrize("name", ["mnist_inception", pytest.param("googlenet_bn", marks=pytest.mark.slow)])
def test_diagram_is_whole_and_at_full_size(name, tmp_path):
    """Every layer and every connection is drawn, and no pixel is lost to scaling: 96 dots are 96 dots."""
    model = create_model(name, **({"aux_heads": True} if name == "googlenet_bn" else {}))
    plot_model(model, tmp_path / "picture.svg")
    svg = (tmp_path / "picture.svg").read_text()
    for layer in model.layers:
        assert f">{layer.name}<" in svg
    edges = sum(len(node.input_tensors) for layer in model.layers for node in layer._inbound_nodes)
    assert svg.count('class="edge"') == edges
    width, height = map(float, re.search(r'viewBox="0[.0]* 0[.0]* ([\d.]+) ([\d.]+)"', svg).groups())

    plot_model(model, tmp_path / "picture.png")
    size = png_size((tmp_path / "picture.png").read_bytes())
    np.testing.assert_allclose(size, (width * 96 / 72, height * 96 / 72), rtol=0.01)
    with Image.open(tmp_path / "picture.png") as picture:
        ink = np.asarray(picture.convert("L")) < 128
    # Clipped, it would touch the border.
    assert not any(border.any() for border in (ink[0], ink[-1], ink[:, 0], ink[:, -1]))


def test_svg_fits_its_frame(model, tmp_path):
    """Graphviz 2 scales an SVG's content by dots per inch and leaves the frame as it was."""
    plot_model(model, tmp_path / "picture.svg")
    assert "scale(1 1)" in (tmp_path / "picture.svg").read_text()


def test_too_tall_is_said_and_nothing_scaled_down():
    tall = "digraph { " + " -> ".join(f"n{i}" for i in range(400)) + " }"
    with pytest.raises(ValueError, match=r"exceeds 32767 pixels.*fewer dots per inch, or SVG"):
        render(tall, dpi=200)
    width, height = png_size(render(tall, dpi=40))
    assert height > 10_000 > width


def test_very_tall_pictures_take_fewer_dots_while_letters_are_legible(model, tmp_path, monkeypatch):
    """As on Inception v4 (76 dots per inch) and Inception-ResNet v2 (none: SVG), with a lower ceiling."""
    monkeypatch.setattr(pictures, "CAIRO_LIMIT", 2000)
    plot_model(model, tmp_path / "picture.png")
    assert 1950 < max(png_size((tmp_path / "picture.png").read_bytes())) < 2000
    with pytest.raises(pictures.PictureTooLargeError, match="fewer dots per inch, or SVG"):
        plot_model(model, tmp_path / "picture.png", dpi=96)
    monkeypatch.setattr(pictures, "CAIRO_LIMIT", 1000)
    with pytest.raises(pictures.PictureTooLargeError, match="fewer dots per inch, or SVG"):
        plot_model(model, tmp_path / "picture.png")


def test_a_picture_is_replaced_only_by_a_picture(tmp_path, monkeypatch):
    target = tmp_path / "picture.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(pictures, "render", lambda *arguments, **options: 1 / 0)
    inputs = keras.Input((3,))
    with pytest.raises(ZeroDivisionError):
        plot_model(keras.Model(inputs, keras.layers.Dense(1)(inputs)), target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
