"""A comparison that can be trusted: candidates take turns, and a ratio is of the same round."""

import json

import numpy as np
import pytest

from googlenet_keras import GoogLeNet, benchmark
from googlenet_keras.benchmarks import interleaved, lrn


def test_ratio_is_of_the_same_round(monkeypatch):
    """The clock of a machine that gets slower and slower, where the second candidate always takes twice as long."""
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
def test_peers_compute_the_same(kind):
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 3, 64)).astype("float32")
    ours = GoogLeNet(input_shape=(32, 32, 1)).get_layer("pool1_norm1")
    np.testing.assert_allclose(kind.from_config(ours.get_config())(x), ours(x), rtol=3e-6)


@pytest.mark.slow
def test_command(capsys):
    assert benchmark.main(["lrn", "--batch-size", "1", "--rounds", "2", "--json"]) == 0
    timings = json.loads(capsys.readouterr().out)
    assert [timing["name"] for timing in timings] == [
        *("without", "without, again", "LocalResponseNormalization"),
        *("TensorFlowOp", "BandedConvolution", "ShiftedSlices"),
    ]
    assert timings[0]["ratio"] == 1


def test_wrong_use(capsys):
    assert benchmark.main(["lrn", "--rounds", "1"]) == 2
    assert "2 rounds or more" in capsys.readouterr().err
