"""The build script writes correct files, and reports what it cannot write."""

import io
import json
import os
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from processes import Fork

from googlenet_keras import create_model, model_record
from googlenet_keras.commands import export
from googlenet_keras.deploy import export_model, verification

# Tests of the command and of its files use a small network.
SMALL = "mnist_inception"
# Runs the command in a process that has imported TensorFlow already, and so has the process that verifies an export.
FORKED = """
import sys
import processes
from googlenet_keras.commands import export
processes.verify_in_forks()
sys.exit(export.main(sys.argv[1:]))
"""
pytestmark = pytest.mark.usefixtures("forked_verification")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, forked_verification):
    """Exports a small model with a label file, as a user would, and returns the folder."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "classes.txt").write_text("cat\ndog\nÅngström\n", encoding="utf-8")
    status = export.main(["--model", SMALL, "--output", str(folder), "--labels", str(folder / "classes.txt")])
    assert status == 0
    return folder


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Runs the README's command once, in a separate process and an empty folder; returns the folder and the process."""
    folder = tmp_path_factory.mktemp("command")
    root = verification.Path(export.__file__).parents[1]
    process = subprocess.run(
        [sys.executable, "-m", "googlenet_keras.export"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    return folder, process


def files_of(name, diagram=".png"):
    ends = ("", diagram, "_architecture.png", "_architecture.svg", "_architecture.html", ".json", ".md")
    return {f"{name}{end}" for end in ends}


@pytest.mark.slow
def test_command_as_the_readme_prints_it(command):
    folder, process = command
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    (line,) = process.stdout.splitlines()
    assert " s on one CPU; untrained" in line
    made = files_of("googlenet")
    assert all(f"saved_models/{name} (" in line for name in made)
    assert {path.name for path in (folder / "saved_models").iterdir()} == made


@pytest.mark.slow
def test_card(command):
    folder, _ = command
    card = json.loads((folder / "saved_models" / "googlenet.json").read_text())
    assert card["parameters"] == 6_998_552
    assert card["multiply_adds"] == 1_582_671_872
    assert card["input"]["shape"] == [224, 224, 3]
    assert card["input"]["lowest"] == [-123, -117, -104]
    assert card["input"]["highest"] == [132, 138, 151]
    assert len(card["labels"]) == 1000
    assert card["labels"][0] == "tench"
    assert card["versions"]["keras"] == keras.__version__
    assert card["versions"]["tensorflow"] == tf.__version__
    assert card["weights"].startswith("untrained")
    seen = card["verification"]["largest_difference"]
    assert set(seen) == {
        *(f"{signature}/{batch}/probabilities" for signature in SERVED for batch in (1, 3)),
        *(f"features/{batch}/features" for batch in (1, 3)),
    }
    assert max(seen.values()) <= 1e-5
    assert card["verification"]["best_guess"] in card["labels"]


SERVED = ("serving_default", "serve_images", "serve_bytes")


@pytest.mark.slow
def test_signatures_for_tensorflow_serving(command, fork):
    """People inspect a SavedModel with `saved_model_cli`, and TensorFlow Serving reads the same protocol buffer."""
    folder, _ = command
    cli = ("-m", "tensorflow.python.tools.saved_model_cli")
    process = fork(*cli, "show", "--dir", folder / "saved_models" / "googlenet", "--all")
    assert process.returncode == 0, process.stderr
    shown = process.stdout
    for name, dtype, shape in [
        ("serving_default", "DT_FLOAT", "(-1, 224, 224, 3)"),
        ("serve_images", "DT_UINT8", "(-1, -1, -1, 3)"),
        ("serve_bytes", "DT_STRING", "(-1)"),
        ("features", "DT_FLOAT", "(-1, 224, 224, 3)"),
    ]:
        part = shown.split(f"signature_def['{name}']")[1].split("signature_def")[0]
        assert f"dtype: {dtype}\n        shape: {shape}" in part
        assert f"outputs['{'features' if name == 'features' else 'probabilities'}']" in part
        assert "dtype: DT_FLOAT\n        shape: (-1, 10" in part


@pytest.mark.slow
def test_no_random_operation_is_served(command):
    folder, _ = command
    graph = tf.saved_model.load(str(folder / "saved_models" / "googlenet")).signatures["serve_bytes"].graph
    definitions = [graph.as_graph_def()]
    operations = {node.op for definition in definitions for node in definition.node}
    operations |= {node.op for definition in definitions for f in definition.library.function for node in f.node_def}
    assert "Conv2D" in operations
    assert not [name for name in operations if "Random" in name or "Dropout" in name]


def test_images_of_any_size_are_fitted_as_declared(exported):
    """The central crop is resized as Pillow does it, which is an independent implementation."""
    card = json.loads((exported / f"{SMALL}.json").read_text())
    loaded = tf.saved_model.load(str(exported / SMALL))
    model = create_model(SMALL, classes=3)
    for variable in model.weights:
        variable.assign(loaded.weights[variable.path])
    photograph = verification.resources.files("googlenet_keras").joinpath("assets", verification.PHOTOGRAPH)
    with Image.open(io.BytesIO(photograph.read_bytes())) as picture:
        grey = picture.convert("L")
    assert card["input"]["preprocessing"]["crop_fraction"] == 1
    top = (grey.height - grey.width) // 2
    square = grey.crop((0, top, grey.width, top + grey.width)).resize((28, 28), Image.Resampling.BILINEAR)
    logits = model(np.asarray(square, "float32")[None, ..., None] / 255)
    received = loaded.signatures["serve_images"](images=np.asarray(grey)[None, ..., None])["probabilities"]
    # The tolerance is this large because Pillow rounds pixels to integers.
    np.testing.assert_allclose(received, keras.ops.softmax(logits), atol=2e-3)


def test_labels_travel_along(exported):
    assert {path.name for path in exported.iterdir()} == {*files_of(SMALL), "classes.txt"}
    assert (exported / SMALL / "assets" / "labels.txt").read_text(encoding="utf-8") == "cat\ndog\nÅngström\n"
    assert json.loads((exported / f"{SMALL}.json").read_text(encoding="utf-8"))["labels"][2] == "Ångström"


def test_existing_export_is_kept_without_force(exported, capsys):
    before = snapshot(exported)
    assert export.main(["--model", SMALL, "--output", str(exported)]) == 2
    assert "use --force to replace it" in one_line(capsys)
    assert snapshot(exported) == before


def test_failed_verification_keeps_the_old_export(exported, capsys, monkeypatch):
    """An export fails and leaves no files if a difference exceeds 1e-5 of the largest output."""

    def wrong(process, questions):
        answers = right(process, questions)
        answers["features/3/features"] = answers["features/3/features"] * np.float32(1 + 3e-5)
        return answers

    right = verification.FreshProcess.ask
    monkeypatch.setattr(verification.FreshProcess, "ask", wrong)
    before = snapshot(exported)
    assert export.main(["--model", SMALL, "--output", str(exported), "--force"]) == 1
    assert "differs from the model in features/3/features: by 3.0e-05" in one_line(capsys)
    assert snapshot(exported) == before


@pytest.mark.parametrize("answer", [np.nan, np.inf])
def test_no_number_is_no_agreement(answer):
    with pytest.raises(RuntimeError, match="differs from the model"):
        verification.differences({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2), "b": np.array([1, answer])})


def one_line(capsys):
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith("python -m googlenet_keras.")
    return line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "googlenet_nb"], "did you mean googlenet_bn"),
        (["--input-shape", "0", "224", "3"], "must be (height, width, channels)"),
        (["--input-shape", "-5", "224", "3"], "must be (height, width, channels)"),
        (["--input-shape", "224", "224", "5"], "1 or 3 channels"),
        (["--input-shape", "99999", "224", "3"], "at most 2048 pixels"),
        (["--input-shape", "224", "224"], "expected 3 arguments"),
        (["--input-shape", "64", "64", "3", "--aux-heads"], "at least 65x65 pixels"),
        (["--model", "mnist_residual", "--aux-heads"], "Only networks with auxiliary heads"),
        (["--model", "googlenet_torchvision", "--input-shape", "14", "14", "3"], "at least 15x15 pixels"),
        (["--classes", "0"], "must be from 1 to"),
        (["--classes", "1000000000"], "must be from 1 to"),
        (["--classes", "many"], "invalid int value"),
        (["--weights", "missing.weights.h5"], "no such weight file"),
        (["--weights", __file__], "Not a weight file, or a damaged one"),
        (["--labels", "missing.txt"], "No such file"),
        (["--labels", __file__], "no empty lines"),
        (["--labels", "{classes}", "--classes", "4"], "a label for each of the 4 classes. Received: 3"),
        (["--strategy", "all"], "invalid choice: 'all' (choose from 'auto', 'none', 'cpu'"),
        (["--strategy", "gpu"], "sees no GPU"),
        (["--dtype", "int3"], "int3"),
        (["--output", __file__], "File exists"),
        (["--output", "/proc/nowhere"], "check the path, its permissions"),
        (["--what"], "unrecognized arguments: --what"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_and_status_2(exported, arguments, message, capsys, tmp_path):
    classes = str(exported / "classes.txt")
    arguments = [argument.format(classes=classes) if "{" in argument else argument for argument in arguments]
    try:
        status = export.main(["--output", str(tmp_path / "new"), *arguments])
    except SystemExit as stop:  # argparse exits instead of returning
        status = stop.code
    assert status == 2
    assert message in one_line(capsys)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_foreign_weights(exported, capsys, tmp_path):
    create_model("googlenet_slim", input_shape=(96, 96, 1)).save_weights(tmp_path / "slim.weights.h5")
    arguments = ["--model", "googlenet_bn", "--weights", str(tmp_path / "slim.weights.h5"), "--output", str(tmp_path)]
    assert export.main(arguments) == 2
    line = one_line(capsys)
    assert "does not fit 'googlenet_bn'; load it into the model that it was saved from" in line
    assert len(line) < 700


@pytest.mark.slow
def test_trained_weights_are_served_without_their_heads(tmp_path):
    trained = create_model("googlenet_bn", input_shape=(65, 65, 3), classes=4, aux_heads=True)
    trained.save_weights(tmp_path / "trained.weights.h5")
    made = export_model(
        "googlenet_bn",
        folder=tmp_path,
        weights=tmp_path / "trained.weights.h5",
        input_shape=(65, 65, 3),
        classes=4,
    )
    images = np.random.default_rng(0).uniform(-1, 1, (2, 65, 65, 3)).astype("float32")
    answer = tf.saved_model.load(str(made.saved_model)).signatures["serving_default"](images=tf.constant(images))
    expected = trained(images)["predictions"].numpy()
    # The tolerance is relative to the largest output, because a graph and eager execution round small ones differently.
    np.testing.assert_allclose(answer["probabilities"], expected, rtol=0, atol=1e-5 * expected.max())
    card = json.loads(made.card.read_text())
    assert card["weights"]["file"] == "trained.weights.h5"
    assert len(card["weights"]["sha256"]) == 64
    assert card["labels"] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "name",
    [
        "mnist_residual",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("alexnet", "alexnet_caffe", "nin", "vgg11", "inception_v2", "inception_v3", "inception_v4")
        ),
    ],
)
def test_the_rest_of_the_family_is_exported_too(name, tmp_path):
    made = export_model(name, folder=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == files_of(name)
    assert json.loads(made.card.read_text())["name"] == name


@pytest.mark.slow
def test_aux_heads_in_bfloat16_answer_float32(tmp_path):
    made = export_model(
        "googlenet", folder=tmp_path, input_shape=(65, 65, 3), classes=4, aux_heads=True, dtype="mixed_bfloat16"
    )
    signatures = tf.saved_model.load(str(made.saved_model)).signatures
    answer = signatures["serving_default"](images=tf.zeros((1, 65, 65, 3)))
    assert {name: array.dtype for name, array in answer.items()} == dict.fromkeys(
        ("probabilities", "aux1", "aux2"), tf.float32
    )
    assert signatures["features"](images=tf.zeros((1, 65, 65, 3)))["features"].dtype == tf.float32
    assert json.loads(made.card.read_text())["dtype"] == "mixed_bfloat16"
    assert model_record("googlenet").preprocessing.crop_fraction == 0.875


@pytest.mark.slow
def test_picture_too_tall_for_a_bitmap_is_an_svg(tmp_path, monkeypatch):
    # The diagram has 1355 pixels at the lowest legible resolution; the picture of the modules has 872 at the usual one.
    monkeypatch.setattr("googlenet_keras.describe.pictures.CAIRO_LIMIT", 1000)
    made = export_model(SMALL, folder=tmp_path)
    assert made.picture == tmp_path / f"{SMALL}.svg"
    assert {path.name for path in tmp_path.iterdir()} == files_of(SMALL, ".svg")


# Limits files to 300 kB instead of mounting a small disk, which needs privileges. The network's weights have 390 kB.
FULL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
"""


@pytest.mark.slow
def test_full_disk_keeps_the_old_export(exported, fork):
    before = snapshot(exported)
    process = fork("-c", FULL_DISK + FORKED, "--model", SMALL, "--output", exported, "--force")
    assert process.returncode == 2, process.stderr
    (line,) = process.stderr.splitlines()
    assert "File too large" in line
    assert "the space on the disk" in line
    assert snapshot(exported) == before


@pytest.mark.slow
def test_killed_at_any_moment_keeps_the_old_export(exported, tmp_path):
    """The export stays usable, each part is completely old or new, and the next run cleans up and succeeds."""
    folder = tmp_path / "exports"

    def exporting(*more):
        return Fork("-c", FORKED, "--model", SMALL, "--output", folder, *more)

    def whole(*more):
        with exporting(*more) as process:
            assert process.wait() == 0, process.communicate()

    whole()
    start = time.monotonic()
    whole("--force")
    duration = time.monotonic() - start
    for moment in np.random.default_rng(0).uniform(0.2, 1.0, 12):
        before = snapshot(folder)
        with exporting("--force") as process:
            time.sleep(moment * duration)
            process.kill()
            status = process.wait()
        after = snapshot(folder)
        for part in (f"{SMALL}/saved_model.pb", f"{SMALL}.png", f"{SMALL}.json"):
            assert part in after
        visible = {name: data for name, data in after.items() if not name.startswith(".")}
        if status:
            model = {name: data for name, data in before.items() if name.startswith(f"{SMALL}/")}
            assert {name: visible[name] for name in model} == model or tf.saved_model.load(str(folder / SMALL))
    whole("--force")
    assert {path.name for path in folder.iterdir()} == files_of(SMALL)
