"""Compares the costs that a paper prints for its network with those that we count."""

from collections.abc import Mapping
from dataclasses import dataclass

from googlenet_keras.describe.stages import ModelCost

# The K of the paper's table is 1024: it prints 112K for the 114,688 weights of conv2_3x3, and 159K for the 163,328 of
# inception_3a.
KILO = 1024
# The largest difference from a printed number, in its own unit, that counts as rounding. The paper truncates some
# numbers and rounds others.
ROUNDING = 1.0


@dataclass(frozen=True)
class PaperRow:
    """A row of a paper's table beside ours.

    Attributes:
        stage: The name of the stage.
        weights: The number of weights in its kernels, as we count them.
        paper_weights: The same number as the paper prints it, in units of 1024.
        multiply_adds: The number of multiply-adds, as we count them.
        paper_multiply_adds: The same number as the paper prints it, in millions.
    """

    stage: str
    weights: int
    paper_weights: float
    multiply_adds: int
    paper_multiply_adds: int

    @property
    def disagreement(self) -> str:
        """The paper's columns that differ from our counts by more than rounding; empty if there are none."""
        columns = {
            "params": self.weights / KILO - self.paper_weights,
            "ops": self.multiply_adds / 1e6 - self.paper_multiply_adds,
        }
        return " and ".join(name for name, difference in columns.items() if abs(difference) > ROUNDING)


@dataclass(frozen=True)
class PaperTable:
    """A table of costs as a paper prints it.

    Attributes:
        input_shape: (height, width, channels) of the images for which the costs are printed, in pixels.
        classes: The number of classes for which the costs are printed.
        rows: The weights ("params", in units of 1024) and the multiply-adds ("ops", in millions) of each stage.
        remark: A remark on where the table contradicts the network that the paper describes.
    """

    input_shape: tuple[int, int, int]
    classes: int
    rows: Mapping[str, tuple[float, int]]
    remark: str


TABLES = {
    # "Going Deeper with Convolutions", arXiv:1409.4842, Table 1.
    "googlenet": PaperTable(
        (224, 224, 3),
        1000,
        {
            "conv1_7x7": (2.7, 34),
            "conv2_3x3": (112, 360),
            "inception_3a": (159, 128),
            "inception_3b": (380, 304),
            "inception_4a": (364, 73),
            "inception_4b": (437, 88),
            "inception_4c": (463, 100),
            "inception_4d": (580, 119),
            "inception_4e": (840, 170),
            "inception_5a": (1072, 54),
            "inception_5b": (1388, 71),
            "predictions": (1000, 1),
        },
        remark="its ops agree with its own filters except in conv1_7x7 and inception_5a; the 2.7K and 34M of conv1_7x7 "
        "are those of a separable 7x7 convolution with 8 filters per channel; several of its params do not agree with "
        "its filters",
    ),
}


def beside_paper(cost: ModelCost) -> list[PaperRow]:
    """Returns the rows of the paper's table that have costs; empty if the paper has no table for such a network.

    Args:
        cost: The cost of a network with the input shape and the classes of the paper; see `describe_model`.
    """
    table = TABLES.get(cost.name)
    stages = {stage.name: stage for stage in cost.stages}
    if not table or (cost.input_shape, stages["predictions"].output_shape[-1]) != (table.input_shape, table.classes):
        return []
    return [
        PaperRow(name, stages[name].weights, params, stages[name].multiply_adds, ops)
        for name, (params, ops) in table.rows.items()
    ]
