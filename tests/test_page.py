"""The page of an architecture: it holds the whole network, opens and closes its modules, and needs nothing else."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import keras
import pytest
from keras import layers

from googlenet_keras import count_multiply_adds, describe_model, write_architecture_page
from googlenet_keras.describe import pictures
from googlenet_keras.models import model_record

# As root, and without the calls to its maker that a browser makes by itself.
BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


class Rows(HTMLParser):
    """The texts of a page's table cells, row by row, without those of drawings."""

    def __init__(self, page):
        super().__init__()
        self.rows, self._in_cell, self._drawing = [], False, 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self._drawing += tag == "svg"
        if tag == "tr":
            self.rows.append([])
        self._in_cell = tag in ("th", "td") or (self._in_cell and tag == "button")
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._drawing -= tag == "svg"
        self._in_cell = self._in_cell and tag not in ("th", "td")

    def handle_data(self, text):
        if self._in_cell and not self._drawing:
            self.rows[-1][-1] += text.strip()


@pytest.fixture(scope="module")
def googlenet(network):
    return network("googlenet", aux_heads=True)


@pytest.fixture(scope="module")
def page(googlenet, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "googlenet_architecture.html"
    write_architecture_page(googlenet, path, stages=model_record("googlenet").endpoints)
    return path


def test_rows_are_the_whole_network(googlenet, page):
    rows = {row[0]: row[1:] for row in Rows(page.read_text()).rows if len(row) == 5}
    # The module's parameters are the paper's 159K, counted in units of 1024, and its biases.
    assert rows["inception_3a"][:3] == ["6 convolutions, 1 pooling, 1 concatenation", "28x28x256", "163,696"]
    assert rows["conv1_7x7"] == ["7x7/2, 64", "112x112x64", "9,472", "118,013,952"]
    totals = [f"{googlenet.count_params():,}", f"{count_multiply_adds(googlenet):,}"]
    assert ["total", "", "", *totals] in Rows(page.read_text()).rows
    # The table of stages, whose rows have more columns.
    found = describe_model(googlenet, model_record("googlenet").endpoints)
    wide = {row[0]: row for row in Rows(page.read_text()).rows if len(row) > 5}
    for stage in found.stages:
        assert f"{stage.parameters:,}" in wide[stage.name] or not stage.parameters


def test_every_layer_is_in_a_drawing_and_says_what_it_is(googlenet, page):
    text = page.read_text()
    for layer in googlenet.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense | layers.MaxPooling2D):
            title = f"<title>{layer.name}&#10;output "
            in_module = layer.name.startswith(("inception", "aux"))
            assert text.count(title) == 1 + in_module, layer.name


def test_needs_nothing_else(page):
    text = page.read_text()
    assert not re.findall(r"(?:src|href)=|@import|url\(", text)
    identifiers = re.findall(r'\bid="([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers))


def test_own_model_of_unknown_size_and_with_a_name_of_markup(tmp_path):
    """Any Keras model has a page; a name is a text and not a part of the page; what is not known is left out."""
    inputs = keras.Input((None, None, 3), name="pixels")
    branches = [layers.Conv2D(4, size, padding="same", name=f"mixed_{size}x{size}")(inputs) for size in (1, 3)]
    outputs = layers.Concatenate(name="mixed")(branches)
    model = keras.Model(inputs, outputs, name="<b>AT&T<b>")
    write_architecture_page(model, tmp_path / "own.html")
    text = (tmp_path / "own.html").read_text()
    assert "<title>&lt;b&gt;AT&amp;T&lt;b&gt;: the architecture</title>" in text
    assert "<b>" not in text
    rows = {row[0]: row[1:] for row in Rows(text).rows if row}
    # 3 * 4 + 4 and 27 * 4 + 4.
    assert rows["mixed"] == ["2 convolutions, 1 concatenation", "?x?x8", "128", ""]
    assert rows["total"] == ["", "", "128", ""]
    assert 'id="stages"' not in text


def test_failure_leaves_the_page_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("before")

    def fail(*_):
        raise RuntimeError("Graphviz could not draw the picture: no")

    monkeypatch.setattr(pictures, "_run", fail)
    with pytest.raises(RuntimeError, match="could not draw"):
        write_architecture_page(keras.Sequential([keras.Input((4,)), layers.Dense(2)]), path)
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.fixture
def browser():
    """A Chromium that the system has."""
    program = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(program).exists():
        pytest.skip("there is no Chromium")
    from playwright.sync_api import sync_playwright

    # The variable that hides all fonts from Graphviz would hide them from the browser, which does not start then.
    environment = {name: value for name, value in os.environ.items() if name != "FONTCONFIG_FILE"}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=BROWSER, env=environment)
        yield started
        started.close()


@pytest.mark.slow
def test_modules_open_and_close_in_a_browser(page, browser):
    """By their buttons, all at once, by an address, and by a click on the picture."""
    tab = browser.new_page()
    problems, requests = [], []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda message: problems.append(message.text))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    drawings = tab.locator("#modules .drawing svg")
    module = tab.locator("#inception_4a .drawing")
    button = tab.get_by_role("button", name="inception_4a")

    assert drawings.count() == 11  # nine modules and two auxiliary heads
    assert not any(drawings.nth(place).is_visible() for place in range(11))
    button.click()
    assert module.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    assert module.locator("title", has_text="inception_4a_5x5\noutput 14x14x48").count() == 1
    button.click()
    assert module.is_hidden()
    assert button.get_attribute("aria-expanded") == "false"

    tab.get_by_role("button", name="open all").click()
    assert all(drawings.nth(place).is_visible() for place in range(11))
    tab.get_by_role("button", name="close all").click()
    assert not any(drawings.nth(place).is_visible() for place in range(11))

    tab.locator("figure .node", has_text="inception_5b_5x5\noutput").first.click()
    assert tab.locator("#inception_5b .drawing").is_visible()
    tab.goto(page.as_uri() + "#inception_3b")
    assert tab.locator("#inception_3b .drawing").is_visible()
    assert tab.locator("#inception_3b").evaluate("row => row.getBoundingClientRect().top") < 800
    assert problems == []
    assert {url.split("#")[0] for url in requests} == {page.as_uri()}
