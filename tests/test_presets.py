"""Tests presets: folders, on disk or on the hub, with a trained network and a model card that describes it."""

import dataclasses
import hashlib
import http.server
import json
import re
import sys
import threading

import numpy as np
import pytest

from googlenet_keras import create_model, from_preset, load_model, read_card, save_to_preset
from googlenet_keras.models import presets
from googlenet_keras.models.registry import model_record
from googlenet_keras.weights import Card
from googlenet_keras.weights.model_cards import model_card

LABELS = ("circle", "a | b", "noise")
CARD = Card(
    model="mnist_inception",
    input_shape=(28, 28, 1),
    labels=LABELS,
    preprocessing=model_record("mnist_inception").preprocessing,
    dataset="mnist",
    accuracy=0.98765,
    licence="MIT",
    source="python -m googlenet_keras.train",
)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    """Returns a folder with a small network, and that network."""
    folder = tmp_path_factory.mktemp("presets") / "mine"
    model = create_model("mnist_inception", classes=3)
    save_to_preset(model, folder, CARD)
    return folder, model


def images():
    return np.random.default_rng(0).uniform(-1, 1, (2, 28, 28, 1)).astype("float32")


def test_a_folder_is_a_network(preset):
    """The path of the folder is all that is needed to build the network."""
    folder, model = preset
    expected = np.asarray(model(images()))
    for again in (create_model(str(folder)), from_preset(folder), load_model(folder / "model.weights.h5")):
        np.testing.assert_array_equal(again(images()), expected)
    body = create_model(str(folder), include_top=False)
    assert body.output.shape[-1] != 3
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "config.json", "metadata.json", "model.weights.h5")
    }
    config = json.loads((folder / "config.json").read_text())
    assert config["config"] == {"name": "mnist_inception", "input_shape": [28, 28, 1], "classes": 3}
    assert json.loads((folder / "metadata.json").read_text())["parameter_count"] == model.count_params()
    assert read_card(folder / "model.weights.h5") == CARD


def test_the_model_card_is_yaml_and_a_table(preset):
    """The hub sorts the network by the YAML header, and a reader sees its classes, its accuracy and how to use it."""
    text = (preset[0] / "README.md").read_text()
    _, head, body = re.split(r"^---\n", text, flags=re.MULTILINE)
    assert "license: mit\n" in head
    assert "      value: 0.9877\n" in head
    assert 'datasets:\n- "mnist"\n' in head
    assert r"| Classes | 3: circle, a \| b, noise |" in body
    assert "98.77%, one crop" in body
    assert "python -m googlenet_keras.predict model.weights.h5 IMAGE" in body


def test_a_model_card_tells_no_secrets():
    """A model card must not reveal where its author keeps images; a licence that the hub does not know is quoted."""
    card = dataclasses.replace(CARD, dataset="folder:/home/me/holidays", licence="data: CC0")
    text = model_card(card, parameters=1)
    assert "/home/me" not in text
    assert text.count("the author's own images") == 3
    assert 'license: other\nlicense_name: "data: CC0"\n' in text
    assert "model-index" not in model_card(dataclasses.replace(card, accuracy=None), parameters=1)


def test_what_is_no_preset_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"a folder with a file model\.weights\.h5\. Received: '.*nowhere'"):
        from_preset(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="There is no model of that name"):
        create_model(str(tmp_path))
    create_model("mnist_inception").save_weights(tmp_path / presets.WEIGHTS_FILE)
    with pytest.raises(ValueError, match="does not say which network it belongs to"):
        create_model(str(tmp_path))


def test_the_hub_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'googlenet-keras\[hub\]'\. Received: 'hf://me/mine'"):
        create_model("hf://me/mine")


HUB = """
import sys
import numpy as np
from googlenet_keras import create_model
images, answer, address, missing = sys.argv[1:]
np.save(answer, create_model(address)(np.load(images)))
try:
    create_model(missing)
except RuntimeError as error:
    print(error)
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """Imitates what the client needs of the hub: the list of a repository's files, and the files."""

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        files = sorted(self.server.folder.iterdir())
        if path.startswith("/api/models/me/mine/tree/"):
            entries = [{"type": "file", "path": one.name, "size": one.stat().st_size, "oid": "b" * 40} for one in files]
            return self._send(json.dumps(entries).encode())
        if path.startswith("/api/models/me/mine"):
            names = [{"rfilename": file.name} for file in files]
            return self._send(json.dumps({"id": "me/mine", "sha": "a" * 40, "siblings": names}).encode())
        if path.startswith("/me/mine/resolve/"):
            return self._send((self.server.folder / path.rpartition("/")[2]).read_bytes())
        return self.send_error(404)

    def _send(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@pytest.mark.slow
def test_the_hub_gives_the_same_network(preset, tmp_path, python):
    """The real client of the hub must get the same network, here from a server on this machine."""
    pytest.importorskip("huggingface_hub")
    folder, model = preset
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.folder = folder
    threading.Thread(target=server.serve_forever, daemon=True).start()
    np.save(tmp_path / "images.npy", images())
    files = [tmp_path / "images.npy", tmp_path / "answer.npy"]
    settings = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache")}
    process = python("-c", HUB, *files, "hf://me/mine", "hf://me/other", **settings, HF_HUB_OFFLINE="0")
    server.shutdown()
    server.server_close()
    assert process.returncode == 0, process.stderr
    np.testing.assert_allclose(np.load(files[1]), model(images()), rtol=1e-6)
    assert process.stdout.startswith("The preset cannot be downloaded from the hub (")
    assert "Received: 'hf://me/other'" in process.stdout


def test_preprocessing_is_the_weights_own(tmp_path, preset):
    """Weight files of one network may expect different pixels, so the preprocessing comes from the file."""
    from googlenet_keras import preprocess_input
    from googlenet_keras.images.preprocessing import ZERO_TO_ONE
    from googlenet_keras.weights import save_weights

    pixels = np.array([[0, 255]], "uint8")[..., np.newaxis]
    file = tmp_path / "other.weights.h5"
    save_weights(preset[1], file, dataclasses.replace(CARD, preprocessing=ZERO_TO_ONE))
    np.testing.assert_allclose(np.ravel(preprocess_input(pixels, "mnist_inception", weights=file)), [0, 1])
    with pytest.raises(ValueError, match="belong to mnist_inception"):
        preprocess_input(pixels, "googlenet", weights=file)
