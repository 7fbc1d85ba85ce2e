"""Benchmarks can be trusted, because candidates take turns and each ratio compares times of the same round."""

import json
import re

import keras
import numpy as np
import pytest
from conftest import ROOT

from googlenet_keras import create_model, devices, export_model
from googlenet_keras.benchmarks import candidates, growth, inference, interleaved, lrn, training_speed
from googlenet_keras.commands import benchmark
from googlenet_keras.deploy import open_artifact
from googlenet_keras.devices import core_count
from googlenet_keras.layers import BatchNormalization
from googlenet_keras.models import serving_model

PAGE = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")


def test_ratio_is_of_the_same_round(monkeypatch):
    """The ratio is right on a machine that gets slower and slower; the second candidate always takes twice as long."""
    now = 0.0
    called = []

    def candidate(name, cost):
        def call():
            nonlocal now
            called.append(name)
            now += cost * (1 + len(called) // 2)

        return call

    monkeypatch.setattr(interleaved.time, "perf_counter", lambda: now)
    first, second = interleaved.compare({"one": candidate("one", 1.0), "two": candidate("two", 2.0)}, rounds=9)
    assert first.ratio == first.lower == first.upper == 1
    assert second.lower <= second.ratio <= second.upper
    assert second.ratio == pytest.approx(2, rel=0.2)
    assert called[:2] == ["one", "two"]
    rounds = [tuple(called[i : i + 2]) for i in range(2, len(called), 2)]
    assert set(rounds) == {("one", "two"), ("two", "one")}


@pytest.mark.parametrize("kind", [lrn.TensorFlowOp, lrn.BandedConvolution, lrn.ShiftedSlices])
def test_peers_compute_the_same(kind, network):
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 3, 64)).astype("float32")
    ours = network("googlenet").get_layer("pool1_norm1")
    np.testing.assert_allclose(kind.from_config(ours.get_config())(x), ours(x), rtol=3e-6)


def as_the_readme_prints_it(kind):
    """Returns the arguments of the command in docs/speed.md; tests add arguments that make it faster."""
    (line,) = re.findall(rf"^python -m googlenet_keras.benchmark ({kind} .*)$", PAGE, re.MULTILINE)
    return line.split()


@pytest.mark.slow
def test_command(capsys):
    assert benchmark.main([*as_the_readme_prints_it("lrn"), "--batch-size", "1", "--json"]) == 0
    timings = json.loads(capsys.readouterr().out)
    assert [timing["name"] for timing in timings] == [
        *("without", "without, again", "LocalResponseNormalization"),
        *("TensorFlowOp", "BandedConvolution", "ShiftedSlices"),
    ]
    assert timings[0]["ratio"] == 1


@pytest.mark.slow
def test_the_courses_listing_is_our_network(root, network):
    """The comparison is fair only if the peer is the same network: with our weights it returns our logits."""
    ours = network("googlenet_d2l")
    modules = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    parts = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    names = ["conv1_7x7", "conv2_3x3_reduce", "conv2_3x3"]
    names += [f"inception_{module}_{part}" for module in modules for part in parts] + ["predictions"]
    images = np.random.default_rng(0).uniform(0, 1, (2, 96, 96, 1)).astype("float32")
    peer = training_speed.load_peer(root / "tests/benchmarks/d2l_googlenet.py")()
    peer(images)
    assert peer.count_params() == 5_977_530
    peer.set_weights([weight for name in names for weight in ours.get_layer(name).get_weights()])
    np.testing.assert_allclose(peer(images), ours(images), rtol=0, atol=1e-5 * np.abs(ours(images)).max())


def test_speed_is_examples_and_operations_in_a_second(monkeypatch, capsys, tiny):
    """The reported speeds are right if a step takes 2 s for the peer and 1 s for all others.

    The matrix product has 2 * 4096 ** 3 operations and takes 0.5 s.
    """

    def compare(candidates, *, rounds):
        timings = []
        for name in candidates:
            seconds = {"peer": 2.0, "matrix product": 0.5}.get(name[0], 1.0)
            ratio = seconds / 2
            timings.append(interleaved.Timing(name, seconds, ratio, ratio / 2, ratio * 2))
        return timings

    monkeypatch.setattr(training_speed, "compare", compare)
    monkeypatch.setattr(training_speed, "core_count", lambda: 2)
    # Nothing is trained, and only the operations of googlenet_d2l are counted, so a small network replaces the others.
    counted, uncounted = create_model("googlenet_d2l"), create_model(tiny)
    monkeypatch.setattr(training_speed, "network", lambda *which: counted if which[0] == "googlenet_d2l" else uncounted)
    result = training_speed.compare_training(batch_size=4, rounds=3, input_size=96, peer=lambda: uncounted)
    assert result.matrix_product == {"float32": 2**38, "bfloat16": 2**38}
    peer, network, *_ = result.training
    assert (peer.name, peer.dtype, peer.examples_per_second, peer.ratio, peer.share) == ("peer", "float32", 2, 1, None)
    assert (network.examples_per_second, network.ratio, network.lower, network.upper) == (4, 2, 1, 4)
    # An example takes 276,066,304 multiply-adds (derived by hand from the table) of two operations, in three passes.
    assert network.share == pytest.approx(4 * 6 * 276_066_304 / 2**38)
    assert [(speed.name, speed.dtype) for speed in result.training[1:]] == [
        *(("googlenet_d2l", "float32"), ("googlenet_d2l", "bfloat16")),
        *(("googlenet_bn", "float32"), ("googlenet_bn", "bfloat16")),
        ("googlenet_bn, Keras's normalization", "bfloat16"),
        ("googlenet_d2l, a replica per core", "bfloat16"),
        ("googlenet_bn, a replica per core", "bfloat16"),
    ]
    monkeypatch.setattr(training_speed, "compare_training", lambda **_: result)
    monkeypatch.setenv("COLUMNS", "120")
    assert benchmark.main(["train"]) == 0
    *table, last = capsys.readouterr().out.strip().splitlines()
    rows = [line for line in table if " float32 " in line or " bfloat16 " in line]
    assert [row.split("│")[1].strip() for row in rows] == [speed.name for speed in result.training]
    assert "1.00 to 4.00" in rows[1]
    assert last == "A large matrix product: 275 GFLOP/s in float32, 275 GFLOP/s in bfloat16."


def test_table_of_normalizations(monkeypatch, capsys):
    timings = [interleaved.Timing("one", 0.5, 1, 1, 1), interleaved.Timing("two", 1.0, 2, 1.5, 2.5)]
    monkeypatch.setattr(lrn, "compare_normalizations", lambda **_: timings)
    assert benchmark.main(["lrn"]) == 0
    first, second = (line for line in capsys.readouterr().out.splitlines() if " to " in line)
    assert "500" in first
    assert all(part in second for part in ("two", "1000", "2.000", "1.500 to 2.500"))


@pytest.mark.slow
def test_a_replica_per_core_learns_the_same():
    """Speeds can be compared only if all cores together take the same step as one device does on the whole batch."""
    model = candidates.network("googlenet_d2l", "float32", 96)
    step = candidates.training_step(model, batch_size=8, input_size=96)
    with candidates.PerCore(batch_size=8, input_size=96) as per_core:
        for _ in range(3):
            together = per_core.step("googlenet_d2l", "float32")
            model.reset_metrics()
            assert together == pytest.approx(step(), rel=1e-5)


def test_with_keras_normalization_it_computes_the_same(tiny):
    """Speeds can be compared only if both networks compute the same."""
    model = create_model(tiny)
    theirs = training_speed.with_keras_normalization(model)
    theirs.set_weights(model.get_weights())
    assert type(model.get_layer("conv1_bn")) is BatchNormalization
    assert type(theirs.get_layer("conv1_bn")) is keras.layers.BatchNormalization
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 1)).astype("float32")
    np.testing.assert_allclose(theirs(images), model(images), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_training_command(capsys, root):
    peer = str(root / "tests/benchmarks/d2l_googlenet.py")
    shorter = ["--batch-size", "2", "--input-size", "32", "--peer", peer, "--json"]
    assert benchmark.main([*as_the_readme_prints_it("train"), *shorter]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["training"]) == (8 if core_count() == 2 else 6)
    assert result["training"][0]["ratio"] == 1
    assert all(speed["examples_per_second"] > 0 for speed in result["training"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lrn", "--rounds", "1"], "at least 2 rounds"),
        (["train", "--batch-size", "0"], "at least 1 image in a batch"),
        (["train", "--input-size", "0"], "--input-size must be at least 1"),
        (["train", "--peer", "nowhere.py"], "no such file"),
        (["train", "--peer", "README.md"], "NAME.py"),
        (["train", "--peer", "tests/golden.py"], "function build"),
    ],
)
def test_wrong_use(arguments, message, capsys, monkeypatch, root):
    monkeypatch.chdir(root)
    assert benchmark.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_instruction_sets(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "CPUINFO", cpuinfo)
    assert devices.instruction_sets() == ()
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu avx avx2 fma avx512f avx512_vnni\n\nprocessor\t: 1\n")
    assert devices.instruction_sets() == ("avx2", "fma", "avx512f", "avx512_vnni")


class InstantProcess:
    """Replaces the process of an artifact, and returns at once."""

    first_answer = 1.5
    peak_memory = 200_000_000

    def __init__(self, artifact, shape):
        self.shape = shape

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def calls(self, batch_size):
        return 4

    def ask(self, batch_size, calls):
        return 0.0


def test_figures_of_infer_come_from_the_seconds_of_each_round(monkeypatch, capsys, tmp_path, tiny):
    """The figures are right if all artifacts get slower with each round, and the second takes half of the first's time.

    No optional runtime is installed.
    """

    def compare(candidates, *, rounds):
        for number, name in enumerate(candidates):
            seconds = {"matrix product": 0.5}.get(name, 8 / 2**number)
            yield interleaved.Timing(name, 0, 0, 0, 0, tuple(seconds * (1 + round_) for round_ in range(rounds)))

    monkeypatch.setattr(inference, "compare", compare)
    monkeypatch.setattr(inference, "ArtifactProcess", InstantProcess)
    monkeypatch.setattr(inference, "_write_plain", lambda network, folder, formats: {"plain SavedModel": folder})
    monkeypatch.setattr(inference, "write", lambda served, name, path, precision="float32": None)
    monkeypatch.setattr(inference, "_PACKAGES", dict.fromkeys(inference._PACKAGES, ("no_such_package",)))
    monkeypatch.setattr(inference, "count_multiply_adds", lambda model: 2**30)
    output = tmp_path / "made" / "here"
    assert benchmark.main(["infer", "--model", tiny, "--batch", "2", "--rounds", "3", "--output", str(output)]) == 0
    said = capsys.readouterr().out
    for name in ("onnx", "litert", "openvino"):
        assert (
            said.count(
                f"{name} was not measured because its packages are missing: pip install 'googlenet-keras[{name}]'\n"
            )
            == 1
        )
    (found,) = json.loads((output / "inference.json").read_text())
    plain, ours = found["speeds"]
    # A call runs four batches, which take 2 s each in the first round, 4 s in the second and 6 s in the third.
    assert plain["seconds"] == [2, 4, 6]
    assert ours["seconds"] == [1, 2, 3]
    assert (plain["images_per_second"], plain["ratio"]) == (2 / 4, 1)
    assert [ours[key] for key in ("images_per_second", "ratio", "lower", "upper")] == [2 / 2, 2, 2, 2]
    # Each of the two images takes 2**31 operations, and the matrix product takes 2**34.
    assert ours["share"] == pytest.approx(2 * 2**31 / 2**34 * 0.5 / 1)
    assert found["matrix_product"] == 2**34 / 1
    (row,) = (line for line in said.splitlines() if line.startswith("│ SavedModel ") and " to " in line)
    assert all(cell in row for cell in (" 1.0 ", " 2.00 ", "2.00 to 2.00", "12%"))
    table = (output / "inference.md").read_text()
    assert "| SavedModel | 1.0 | 2.00 (2.00 to 2.00) | 1.50 s | 200 MB |" in table
    assert "left out: onnx, openvino, litert" in table
    assert (output / "inference.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(output.iterdir())) == 3


@pytest.mark.parametrize(
    ("suffix", "package"),
    [(".onnx", "tf2onnx"), pytest.param(".tflite", "ai_edge_litert", marks=pytest.mark.slow)],
)
def test_an_artifact_has_a_process_with_nothing_but_its_runtime(suffix, package, tmp_path, tiny):
    pytest.importorskip(package)
    path = tmp_path / f"network{suffix}"
    served = serving_model(create_model(tiny))
    inference.write(served, tiny, path)
    with inference.ArtifactProcess(path, served.input.shape[1:]) as process:
        assert process.first_answer > 0
        assert process.ask(2, 1) > 0
        assert process.calls(1) > 1
    # TensorFlow alone takes more than twice the upper limit.
    assert 20_000_000 < process.peak_memory < 200_000_000


@pytest.mark.parametrize(("call", "expected"), [(0.25, 0.25), (0, 0), (-0.05, 0)])
def test_growth_finds_the_line_that_the_times_are_on(call, expected):
    """The times per call and per pixel follow from the medians of the rounds, and that of a call is never negative."""
    points = [
        growth.Point(size, batch, (1e9, call + 2e-6 * batch * size**2, 0)) for size in (224, 448) for batch in (1, 32)
    ]
    found = growth.fit("network", points)
    assert found.call == pytest.approx(expected, abs=1e-9)
    if call >= 0:
        assert found.pixel == pytest.approx(2e-6)
        assert found.deviation == pytest.approx(0, abs=1e-9)


def test_growth_is_measured_at_each_size_and_batch(monkeypatch, capsys, tmp_path, tiny):
    """A call runs four batches, so the seconds per batch are a quarter of its time."""

    def compare(candidates, *, rounds):
        for name, call in candidates.items():
            seconds = 4 * (1 + 1e-3 * name[1] * call.func.__self__.shape[0] ** 2)
            yield interleaved.Timing(name, 0, 0, 0, 0, (seconds,) * rounds)

    monkeypatch.setattr(growth, "compare", compare)
    monkeypatch.setattr(growth, "ArtifactProcess", InstantProcess)
    monkeypatch.setattr(growth, "write", lambda served, name, path: None)
    flags = ["growth", "--model", tiny, "--sizes", "64", "32", "--batch", "1", "4", "--output", str(tmp_path)]
    assert benchmark.main(flags) == 0
    said = capsys.readouterr().out
    assert (
        "tiny: 1000.0 ms per call plus 1000000 ms per megapixel; half of the measured times are within 0% of that."
        in said
    )
    found = json.loads((tmp_path / "growth.json").read_text())
    (line,) = found["growths"]
    assert [(point["input_size"], point["batch_size"]) for point in line["points"]] == [
        *((32, 1), (32, 4)),
        *((64, 1), (64, 4)),
    ]
    assert line["points"][0]["seconds"] == [pytest.approx(1 + 1e-3 * 32**2)] * 3
    assert "| tiny | 1000.0 | 1000000 | 0% |" in (tmp_path / "growth.md").read_text()
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch", "0"], "--batch must be at least 1"),
        (["--sizes", "8", "32"], "pixels a side or more. Received: 8"),
        (["--sizes", "32", "--batch", "1"], "Growth can be measured only between two or more sizes"),
        (["--format", "onyx"], "The format must be one of"),
        (["--model", "googlenet_nb"], "did you mean googlenet_bn"),
    ],
)
def test_wrong_use_of_growth(flags, message, capsys, tiny):
    assert benchmark.main(["growth", "--model", tiny, *flags]) == 2
    assert message in capsys.readouterr().err


def test_torchvision_is_a_peer_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(inference.importlib.util, "find_spec", lambda name: None)
    assert inference._torchvision("googlenet_bn") == {}
    monkeypatch.setattr(inference.importlib.util, "find_spec", lambda name: name)
    assert inference._torchvision("googlenet_bn")["torchvision eager"] == "torchvision:googlenet:eager"
    assert inference._torchvision("googlenet") == {}


@pytest.mark.slow
def test_openvino_is_told_of_bfloat16_where_the_processor_computes_it(monkeypatch, tmp_path, tiny):
    pytest.importorskip("openvino")
    flags = ()
    monkeypatch.setattr(inference, "instruction_sets", lambda: flags)
    network = create_model(tiny)
    assert list(inference._write_plain(network, tmp_path, ["openvino"])) == ["plain SavedModel", "plain OpenVINO"]
    flags = ("avx512f", "avx512_bf16")
    hinted = inference._write_plain(network, tmp_path, ["openvino"])["plain OpenVINO bfloat16"]
    assert inference._size(hinted) > 4 * network.count_params()
    assert open_artifact(hinted)(np.zeros((1, 32, 32, 1), "float32"))


def test_artifacts_have_one_size_of_image_and_names_of_their_own(monkeypatch, tmp_path):
    cards = {"a": (32, 32, 1), "b": (32, 32, 1), "c": (64, 32, 1)}
    paths = [tmp_path / folder / "network.onnx" for folder in cards]
    monkeypatch.setattr(inference, "_shape_of", lambda path, size: cards[path.parent.name])
    assert inference._common_shape(paths[:2], None) == (32, 32, 1)
    assert inference._shortest(paths[:2]) == [str(path) for path in paths[:2]]
    assert inference._shortest(paths[:1]) == ["network.onnx"]
    with pytest.raises(ValueError, match="64x32x1"):
        inference._common_shape(paths, None)


@pytest.mark.slow
def test_growth_command(capsys, tmp_path):
    flags = [*as_the_readme_prints_it("growth"), "--output", str(tmp_path), "--json"]
    assert benchmark.main(flags) == 0
    found = json.loads(capsys.readouterr().out)
    (line,) = found["growths"]
    assert len(line["points"]) == 4
    assert line["pixel"] > 0
    assert line["call"] >= 0
    assert (tmp_path / "growth.png").exists()


def test_a_process_that_dies_says_why(tmp_path, capsys):
    pytest.importorskip("ai_edge_litert")
    path = tmp_path / "damaged.tflite"
    path.write_bytes(b"nothing")
    assert benchmark.main(["infer", "--artifact", str(path), "--size", "32", "--output", str(tmp_path / "made")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "damaged.tflite failed in a process of its own" in line
    assert "The artifact is damaged" in line
    assert not (tmp_path / "made").exists()


def test_names_are_whole_without_a_terminal(monkeypatch, capsys):
    name = "an artifact with a name that is longer than eighty characters leave room for, as " + "it is"
    timing = interleaved.Timing(name, 0.5, 1, 1, 1)
    monkeypatch.setattr(lrn, "compare_normalizations", lambda **_: [timing])
    assert benchmark.main(["lrn"]) == 0
    assert name in capsys.readouterr().out


@pytest.mark.slow
def test_inference_of_a_network_and_of_what_was_exported(tmp_path, capsys, monkeypatch):
    """Every artifact runs in its own process, and a format whose packages are missing is left out."""
    missing = "litert"
    monkeypatch.setitem(inference._PACKAGES, missing, ("no_such_package",))
    flags = [*as_the_readme_prints_it("infer"), "--batch", "1", "2", "--output", str(tmp_path)]
    assert benchmark.main(flags) == 0
    assert "plain SavedModel" in capsys.readouterr().out
    (found,) = json.loads((tmp_path / "inference.json").read_text())
    assert found["missing"] == [missing]
    assert found["input_shape"] == [28, 28, 1]
    assert [one["batch_size"] for one in found["speeds"][:: len(found["footprints"])]] == [1, 2]
    assert found["speeds"][0]["ratio"] == found["speeds"][0]["lower"] == 1
    for one in found["speeds"]:
        assert one["lower"] <= one["ratio"] <= one["upper"]
        assert one["share"] > 0
    for one in found["footprints"]:
        assert one["peak_memory"] > one["disk"] > 50_000
        assert f"| {one['artifact']} |" in (tmp_path / "inference.md").read_text()

    made = export_model("mnist_inception", folder=tmp_path / "exports")
    assert benchmark.main([*flags, "--artifact", str(made.saved_model), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert [one["artifact"] for one in found["footprints"]] == ["mnist_inception"]


def test_wrong_use_of_infer(tmp_path, capsys):
    for flags, message in [
        (["--batch", "0"], "--batch and --size must be at least 1"),
        (["--model", "googlenet_nb"], "did you mean googlenet_bn"),
        (["--artifact", str(tmp_path / "none.onnx")], "has no card of this package"),
    ]:
        assert benchmark.main(["infer", *flags]) == 2
        assert message in capsys.readouterr().err
