"""The picture of modules holds what the model holds, and can be read at a glance."""

import keras
import pytest
from keras import layers

from googlenet_keras import count_multiply_adds, create_model
from googlenet_keras.describe import architecture
from googlenet_keras.describe.architecture import architecture_graph, plot_architecture
from googlenet_keras.describe.pictures import DOTS_PER_INCH, png_size
from googlenet_keras.models import model_record

HELPERS = (" map", " title", " below", " corner", " top")


def plain(name):
    return name.strip('"')


def graphs(graph):
    """A graph with all that is in it."""
    yield graph
    for inner in graph.get_subgraphs():
        yield from graphs(inner)


def modules(graph):
    """The layers in each cluster that is drawn as a box."""
    return {
        plain(inner.get_name()).removeprefix("cluster_"): [
            plain(node.get_name()) for node in inner.get_nodes() if not plain(node.get_name()).endswith(HELPERS)
        ]
        for inner in graphs(graph)
        if inner.get("fillcolor")
    }


def labels(graph):
    """What is written in each node."""
    nodes = [node for inner in graphs(graph) for node in inner.get_nodes() if node.get_label() is not None]
    return {plain(node.get_name()): plain(node.get_label()) for node in nodes}


def connections(graph):
    """From layer to layer, through sizes and turns of the line."""
    following = {}
    for inner in graphs(graph):
        for edge in inner.get_edges():
            if edge.get("style") != "invis":
                following.setdefault(plain(edge.get_source()), []).append(plain(edge.get_destination()))

    def ends(name):
        for target in following.get(name, []):
            yield from ends(target) if target.endswith(HELPERS) else [target]

    return sorted((name, target) for name in following if not name.endswith(HELPERS) for target in ends(name))


def folded_connections(model):
    """The same from Keras's own record: everything but a part of another layer is a node."""
    parts = (layers.BatchNormalization, layers.ReLU, layers.ZeroPadding2D, layers.Flatten, layers.Dropout)

    def owner(layer):
        return owner(layer._inbound_nodes[0].parent_nodes[0].operation) if isinstance(layer, parts) else layer.name

    return sorted(
        (owner(parent.operation), layer.name)
        for layer in model.layers
        if not isinstance(layer, parts)
        for parent in layer._inbound_nodes[0].parent_nodes
    )


@pytest.fixture(scope="module")
def googlenet(network):
    return network("googlenet", aux_heads=True)


def test_a_cluster_for_every_module_and_head(googlenet):
    found = modules(architecture_graph(googlenet))
    inception = [name for name in model_record("googlenet").endpoints if name.startswith("inception_")]
    assert len(inception) == 9
    assert set(found) == {*inception, "aux1", "aux2"}
    ends = ("_1x1", "_3x3_reduce", "_3x3", "_5x5_reduce", "_5x5", "_pool", "_pool_proj", "")
    for module in inception:
        assert found[module] == [module + end for end in ends]
    assert found["aux2"] == ["aux2_pool", "aux2_conv", "aux2_fc", "aux2"]


@pytest.mark.parametrize("name", ["googlenet_torchvision", "googlenet_bvlc", "inception_v2"])
def test_edges_are_the_models_connections(name, network):
    model = network(name, **({} if name == "inception_v2" else {"aux_heads": True}))
    assert connections(architecture_graph(model)) == folded_connections(model)


def test_what_is_written(googlenet, network):
    graph = architecture_graph(googlenet)
    found = labels(graph)
    assert found["inception_3a_3x3"] == "3x3/1\n128"
    assert found["conv1_7x7"] == "7x7/2\n64"
    assert found["inception_3a map"] == "28x28x256"
    assert found["aux1"] == "dense 1000\nsoftmax"
    title = graph.get_label()
    totals = (f"{googlenet.count_params():,} parameters", f"{count_multiply_adds(googlenet):,} multiply-adds")
    for text in ("googlenet", *totals, "convolution + ReLU", "pooling", "concatenation", "dense"):
        assert text in title
    assert "BN" not in title
    assert "convolution + BN + ReLU" in architecture_graph(network("googlenet_bn")).get_label()


def test_what_a_box_says_when_it_is_pointed_at(googlenet):
    """Name, size and cost of each box, and together the whole network's."""
    nodes = [node for inner in graphs(architecture_graph(googlenet)) for node in inner.get_nodes()]
    told = {plain(node.get_name()): plain(node.get_tooltip()) for node in nodes if node.get_tooltip()}
    # 7 * 7 * 3 * 64 weights and 64 biases, on 112 * 112 pixels.
    assert told["conv1_7x7"] == "conv1_7x7\noutput 112x112x64\n9,472 parameters\n118,013,952 multiply-adds"
    assert told["pool1"] == "pool1\noutput 56x56x64"

    def total(unit):
        lines = [line for text in told.values() for line in text.splitlines() if line.endswith(f" {unit}")]
        return sum(int(line.split()[0].replace(",", "")) for line in lines)

    assert total("parameters") == googlenet.count_params()
    assert total("multiply-adds") == count_multiply_adds(googlenet)


@pytest.mark.slow
def test_equal_modules_in_a_row_are_drawn_once():
    graph = architecture_graph(create_model("inception_resnet_v2", aux_heads=True))
    found = labels(graph)
    assert found["block35_1 title"] == "block35_1 …\nblock35_10\nx 10"
    assert found["block17_1 title"].endswith("x 20")
    assert found["block8_10 title"] == "block8_10"
    assert "block35_2" not in modules(graph)
    assert {("block35_1_add", "mixed_6a_branch0"), ("block17_1_add", "aux_pool")} <= set(connections(graph))


@pytest.mark.parametrize(
    ("name", "title", "end"),
    [
        pytest.param("inception_v4", "mixed_6b title", "mixed_6h\nx 7", marks=pytest.mark.slow),
        pytest.param("inception_v3", "mixed_6e title", "mixed_6e", marks=pytest.mark.slow),
    ],
)
def test_a_head_ends_a_row(name, title, end):
    assert labels(architecture_graph(create_model(name, aux_heads=True)))[title].endswith(end)


@pytest.mark.parametrize("name", ["googlenet", pytest.param("inception_resnet_v2", marks=pytest.mark.slow)])
def test_whole_at_a_glance_and_legible(name, tmp_path, network):
    plot_architecture(network(name), tmp_path / "picture.png")
    width, height = png_size((tmp_path / "picture.png").read_bytes())
    assert max(width, height) <= 4000
    assert 2 / 3 <= width / height <= 3 / 2
    assert architecture.SMALL_PRINT * DOTS_PER_INCH / 72 >= 9
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_own_models(tmp_path):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(8, (1, 3), strides=2, name="first")(inputs)
    shared = layers.Conv2D(8, 3, padding="same", name="shared")
    y = layers.BatchNormalization()(shared(shared(x)))
    model = keras.Model(inputs, layers.Add(name="sum")([x, keras.ops.tanh(y)]), name="own <model>")
    graph = architecture_graph(model)
    assert labels(graph)["first"] == "1x3/2\n8"
    assert labels(graph)["sum map"] == "?x?x8"
    assert not modules(graph)
    assert "multiply-adds" not in graph.get_label()
    assert "own &lt;model&gt;" in graph.get_label()
    plot_architecture(model, tmp_path / "own.svg")
    assert ">input<" in (tmp_path / "own.svg").read_text()


def test_sequential():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(4, activation="relu", name="a"), layers.Dense(2, name="b")]
    )
    assert ("a", "b") in connections(architecture_graph(model))


def test_no_graph_is_said():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=r"functional or sequential.*Received: <Own"):
        architecture_graph(Own())
