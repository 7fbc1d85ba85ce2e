"""What the descriptions say, against the paper, published figures and independent arithmetic."""

import itertools
import json
import math
from dataclasses import replace

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from googlenet_keras import list_models, list_weights, model_record
from googlenet_keras.commands.describe import main
from googlenet_keras.describe import (
    beside_paper,
    bottlenecks,
    compare,
    count_multiply_adds,
    describe_model,
    markdown_table,
    minimum_size,
    plot_comparison,
    smallest_input,
)
from googlenet_keras.describe.comparison import _draw_costs, _label_points
from googlenet_keras.describe.pictures import png_size

# arXiv 1409.4842, Table 1: output, depth, filters; weights and millions of multiply-adds counted from its filters.
TABLE_1 = {
    "conv1_7x7": ("convolution", "7x7/2", (112, 112, 64), 1, (), 9_408, 118.01),
    "pool1": ("max pool", "3x3/2", (56, 56, 64), 0, (), 0, 0),
    "conv2_3x3": ("convolution", "3x3/1", (56, 56, 192), 2, (64, 192), 114_688, 359.66),
    "pool2": ("max pool", "3x3/2", (28, 28, 192), 0, (), 0, 0),
    "inception_3a": ("inception", "", (28, 28, 256), 2, (64, 96, 128, 16, 32, 32), 163_328, 128.05),
    "inception_3b": ("inception", "", (28, 28, 480), 2, (128, 128, 192, 32, 96, 64), 388_096, 304.27),
    "pool3": ("max pool", "3x3/2", (14, 14, 480), 0, (), 0, 0),
    "inception_4a": ("inception", "", (14, 14, 512), 2, (192, 96, 208, 16, 48, 64), 375_552, 73.61),
    "inception_4b": ("inception", "", (14, 14, 512), 2, (160, 112, 224, 24, 64, 64), 448_512, 87.91),
    "inception_4c": ("inception", "", (14, 14, 512), 2, (128, 128, 256, 24, 64, 64), 509_440, 99.85),
    "inception_4d": ("inception", "", (14, 14, 528), 2, (112, 144, 288, 32, 64, 64), 604_672, 118.52),
    "inception_4e": ("inception", "", (14, 14, 832), 2, (256, 160, 320, 32, 128, 128), 867_328, 170.00),
    "pool4": ("max pool", "3x3/2", (7, 7, 832), 0, (), 0, 0),
    "inception_5a": ("inception", "", (7, 7, 832), 2, (256, 160, 320, 32, 128, 128), 1_042_432, 51.08),
    "inception_5b": ("inception", "", (7, 7, 1024), 2, (384, 192, 384, 48, 128, 128), 1_442_816, 70.70),
    "pool5": ("avg pool", "7x7/1", (1024,), 0, (), 0, 0),
    "dropout": ("dropout", "", (1024,), 0, (), 0, 0),
    "predictions": ("linear", "", (1000,), 1, (), 1_024_000, 1.02),
}
# Without heads, with heads: arithmetic by hand, Keras's min_size, torchvision's min_size; heads pool 5x5 windows.
MINIMUM_SIZES = {
    "googlenet": (1, 65),
    "googlenet_torchvision": (15, 65),
    "inception_v3": (75, 107),
    "inception_v4": (75, 107),
    "inception_resnet_v2": (75, 107),
    "alexnet": (63, None),
    "nin": (67, None),
    "vgg16": (32, None),
}
# As Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, are remembered to have
# them: computed here from the graph, that table not read again.
RECEPTIVE_FIELDS = {"inception_v2": 699, "inception_v3": 1311, "inception_v4": 2071, "inception_resnet_v2": 3039}
QUICK = ("googlenet", "googlenet_d2l", "mnist_residual", "nin")


@pytest.fixture(scope="module")
def googlenet(network):
    return network("googlenet", aux_heads=True)


@pytest.fixture(scope="module")
def cost(googlenet):
    return describe_model(googlenet, model_record("googlenet").endpoints)


@pytest.fixture
def built_once(monkeypatch, network):
    """The command describes what was built before."""
    monkeypatch.setattr("googlenet_keras.models.create_model", network)


@pytest.fixture
def described(network):
    def describe(name):
        model = network(name)
        return model, describe_model(model, model_record(name).endpoints)

    return describe


def test_rows_of_table_1(cost):
    rows = {stage.name: stage for stage in cost.stages if stage.type != "auxiliary head"}
    assert list(rows) == list(TABLE_1)
    for name, expected in TABLE_1.items():
        row = rows[name]
        assert (
            row.type,
            row.patch,
            row.output_shape,
            row.depth,
            tuple(row.filters.values()),
            row.weights,
            round(row.multiply_adds / 1e6, 2),
        ) == expected, name
    assert list(rows["inception_3a"].filters) == ["1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj"]


@pytest.mark.slow
@pytest.mark.usefixtures("built_once")
def test_the_papers_table_beside_ours(capsys):
    """A student who counts and finds other numbers than the paper learns that the paper is at odds with itself."""
    assert main(["googlenet", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["paper"]
    assert [row["stage"] for row in rows] == [name for name, row in TABLE_1.items() if row[5]]
    # arXiv 1409.4842, section 1: "a computational budget of 1.5 billion multiply-adds".
    assert sum(row["paper_multiply_adds"] for row in rows) == 1502
    assert {row["stage"]: row["disagreement"] for row in rows if row["disagreement"]} == {
        "conv1_7x7": "params and ops",
        "inception_4a": "params",
        "inception_4c": "params",
        "inception_4d": "params",
        "inception_4e": "params",
        "inception_5a": "params and ops",
        "inception_5b": "params",
    }
    # At another size the paper has no figures.
    assert main(["googlenet", "--json", "--input-shape", "96", "96", "3"]) == 0
    assert "paper" not in json.loads(capsys.readouterr().out)


def test_googlenet_with_heads_in_all(cost):
    assert (cost.depth, cost.parameters, cost.weights) == (22, 13_378_280, 6_990_272 + 3_186_688 + 3_188_736)
    heads = {stage.name: (stage.parameters, stage.depth) for stage in cost.stages if stage.type == "auxiliary head"}
    assert heads == {"aux1": (3_188_840, 3), "aux2": (3_190_888, 3)}
    fields = {stage.name: stage.receptive_field for stage in cost.stages}
    # By hand: r grows by (kernel - 1) * jump.
    assert [fields[name] for name in ("conv1_7x7", "pool1", "conv2_3x3", "pool2")] == [7, 11, 19, 27]
    assert fields["inception_3a"] == 27 + 4 * 8
    assert cost.stages[0].activation_bytes == 4 * 112 * 112 * 64


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]
)
def test_every_layer_is_in_one_stage(name, described):
    model, cost = described(name)
    assert cost.parameters == model.count_params()
    assert cost.multiply_adds == count_multiply_adds(model)
    outputs = sum(math.prod(layer.output.shape[1:]) for layer in model.layers[1:])
    assert cost.activation_bytes == 4 * outputs
    assert smallest_input(model, model_record(name).endpoints) == model_record(name).minimum_size


@pytest.mark.parametrize(
    ("name", "field"),
    [
        item if item[0] == "inception_v2" else pytest.param(*item, marks=pytest.mark.slow)
        for item in RECEPTIVE_FIELDS.items()
    ],
)
def test_published_receptive_fields(name, field, described):
    _, cost = described(name)
    last = model_record(name).endpoints[-1]
    assert {stage.name: stage.receptive_field for stage in cost.stages}[last] == field


@pytest.mark.usefixtures("built_once")
def test_d2l_prints_its_trace_of_shapes(capsys):
    assert main(["googlenet_d2l"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.strip()}
    trace = {
        "pool1": "24x24x64",
        "pool2": "12x12x192",
        "pool3": "6x6x480",
        "pool4": "3x3x832",
        "pool5": "1024",
        "predictions": "10",
    }
    assert {name: rows[name][0] for name in trace} == trace


@pytest.mark.parametrize(
    ("name", "stage", "branches"),
    [
        ("googlenet", "inception_3a", "64 / 96-128 / 16-32(5x5) / max 32"),
        ("mnist_residual", "rblock1", "16(5x5) max(2x2/2) (x + 16(3x3)-16)"),
        ("mnist_inception", "incep2", "20(5x5) max(2x2/2) (16 / 16-24(5x5) / 16-24-24 / avg 24)"),
        pytest.param("inception_v3", "mixed_5b", "64 / 48-64(5x5) / 64-96-96 / avg 32", marks=pytest.mark.slow),
        pytest.param(
            "inception_v3",
            "mixed_7b",
            "320 / 384-[384(1x3), 384(3x1)] / 448-384-[384(1x3), 384(3x1)] / avg 192",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "inception_resnet_v2",
            "block35_10",
            "10 x (x + (32 / 32-32 / 32-48-64)-320(1x1))",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_branches(name, stage, branches, described):
    _, cost = described(name)
    assert {row.name: row.branches for row in cost.stages}[stage] == branches


@pytest.mark.parametrize(
    "stages", [["inception_3a_1x1"], ["pool2", "pool1"], ["nowhere"], ["pool1", "inception_3a_3x3"]]
)
def test_stages_must_be_in_the_way(googlenet, stages):
    with pytest.raises(ValueError, match=r"every path passes.*Received: '"):
        describe_model(googlenet, [*stages, "inception_5b"])


def test_unknown_size_is_refused(network):
    with pytest.raises(ValueError, match=r"fixed input_shape\. Received: \(None, None, 3\)"):
        describe_model(network("googlenet", include_top=False), ["inception_5b"])


@pytest.mark.parametrize(
    ("name", "sizes"),
    [item if item[0] == "googlenet" else pytest.param(*item, marks=pytest.mark.slow) for item in MINIMUM_SIZES.items()],
)
def test_minimum_size(name, sizes):
    without, with_heads = sizes
    record = model_record(name)
    assert minimum_size(name) == without == record.minimum_size
    if with_heads:
        assert minimum_size(name, aux_heads=True) == with_heads == record.minimum_size_of_aux_heads


def test_bottlenecks(googlenet):
    found = {one.name: one for one in bottlenecks(googlenet)}
    assert len(found) == 18
    one = found["inception_3a_3x3"]
    assert (one.input_channels, one.reduced_channels, one.filters) == (192, 96, 128)
    assert (one.direct_weights, one.reduced_weights) == (221_184, 129_024)


@pytest.fixture(scope="module")
def summaries():
    return compare(["googlenet", "mnist_residual"])


def test_comparison_and_its_picture(summaries, tmp_path):
    first, second = summaries
    assert (first.parameters, first.dense_parameters, first.multiply_adds) == (6_998_552, 1_025_000, 1_582_671_872)
    assert (second.depth, second.minimum_size, second.input_shape) == (7, 16, (28, 28, 1))
    for one in summaries:
        parts = one.convolution_parameters + one.dense_parameters + one.normalization_parameters
        assert parts == one.parameters
    plot_comparison(summaries, tmp_path / "comparison.png")
    plot_comparison(summaries, tmp_path / "comparison.svg")
    assert min(png_size((tmp_path / "comparison.png").read_bytes())) > 500
    assert "<svg" in (tmp_path / "comparison.svg").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["comparison.png", "comparison.svg"]


def test_labels_cover_nothing(summaries):
    figure = Figure(figsize=(7, 6), dpi=100)
    axes = figure.subplots()
    # Some on one another, some beside one another.
    crowd = [replace(summaries[0], name=f"model_{i}", parameters=10**7 * (1 + i // 3)) for i in range(12)]
    _draw_costs(axes, crowd)
    _label_points(figure, axes, crowd)
    assert sorted("\n".join(label.get_text() for label in axes.texts).split("\n")) == sorted(one.name for one in crowd)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(label) for label in axes.texts]
    assert not any(box.overlaps(other) for box, other in itertools.combinations(boxes, 2))
    points = axes.transData.transform(axes.collections[0].get_offsets())
    assert not any(box.contains(*point) for box, point in itertools.product(boxes, points))


@pytest.mark.usefixtures("built_once")
def test_json_and_markdown(capsys):
    assert main(["mnist_inception", "--json", "--bottlenecks"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["multiply_adds"], found["minimum_size"]) == (97_298, 6_019_200, 16)
    assert found["stages"][0]["output_shape"] == [12, 12, 88]
    assert main(["googlenet", "--markdown"]) == 0
    tables = [part.splitlines() for part in capsys.readouterr().out.split("\n\n") if part.startswith("|")]
    assert "| #1x1 | #3x3 reduce | #3x3 | #5x5 reduce | #5x5 | #pool proj |" in tables[0][0]
    assert "| params |" in tables[1][0]
    for table in tables:
        assert len({line.count("|") for line in table}) == 1
    assert main(["--compare", "mnist_residual", "mnist_inception", "--json"]) == 0
    assert [one["parameters"] for one in json.loads(capsys.readouterr().out)] == [41_514, 97_298]


@pytest.mark.usefixtures("built_once")
def test_python_has_the_commands_tables(capsys, network):
    """A notebook shows what the command prints."""
    cost = describe_model(network("googlenet"), model_record("googlenet").endpoints)
    assert main(["googlenet", "--markdown", "--bottlenecks"]) == 0
    printed = [part for part in capsys.readouterr().out.split("\n\n") if part.startswith("|")]
    found = (cost, beside_paper(cost), bottlenecks(network("googlenet")))
    assert [markdown_table(one) for one in found] == [part.rstrip("\n") for part in printed]
    assert markdown_table(list_weights()).count("\n") == len(list_weights()) + 1
    assert markdown_table(bottlenecks(network("mnist_residual"))) == ""
    for other in (network("mnist_residual"), ["googlenet"], "googlenet"):
        with pytest.raises(TypeError, match=r"result of describe_model, compare, .* Received: "):
            markdown_table(other)


@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_v3", marks=pytest.mark.slow)])
def test_fits_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["googlenet_nb"], "did you mean"),
        (["--compare", "googlenet", "googlenet_nb"], "did you mean"),
        (["inception_v3", "--input-shape", "60", "60", "3"], "at least 75x75 pixels"),
        (["googlenet", "--input-shape", "64", "64", "3", "--aux-heads"], "at least 65x65 pixels"),
        (["bn_inception", "--aux-heads"], "no auxiliary heads"),
        (["googlenet", "--classes", "0"], "positive integer"),
        (["--compare", "googlenet", "--plot", "picture.jpeg"], "must end in .png or .svg"),
        (["--compare", "googlenet", "--plot", "nowhere/picture.png"], "folder of the picture does not exist"),
        (["googlenet", "--plot", "picture.png"], "together with --compare"),
        (["--compare", "googlenet", "--aux-heads"], "with their defaults"),
    ],
)
def test_wrong_use(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
