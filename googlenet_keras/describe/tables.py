"""Arranges facts about models in the columns of tables, for the terminal and for Markdown."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from googlenet_keras.describe.comparison import ModelSummary
from googlenet_keras.describe.paper import KILO, PaperRow
from googlenet_keras.describe.reductions import Bottleneck
from googlenet_keras.describe.stages import TABLE_1_FILTERS, ModelCost
from googlenet_keras.weights import PublishedWeights

# The smallest widths of a terminal, in characters, that have room for more than the essential columns, and for all.
MEDIUM, WIDE = 100, 170
BRANCHES = "branches"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        header: The heading of the column.
        cells: The text of each row.
        is_text: Whether the column is aligned to the left.
        from_width: The width in characters that a terminal must have to show the column.
    """

    header: str
    cells: Sequence[str]
    is_text: bool = False
    from_width: int = 0


def stage_columns(cost: ModelCost) -> list[Column]:
    """Returns the columns of a model's stages and totals; those of a GoogLeNet include Table 1's filters."""
    stages = cost.stages

    def counts(attribute: str, unit: int = 1, form: str = ",") -> list[str]:
        values = [getattr(row, attribute) for row in (*stages, cost)]
        return [format(value / unit if unit > 1 else value, form) if value else "" for value in values]

    columns = [
        Column("stage", [*(stage.name for stage in stages), "total"], is_text=True),
        Column("type", [*(stage.type for stage in stages), ""], is_text=True, from_width=WIDE),
        Column("patch", [*(stage.patch for stage in stages), ""], is_text=True, from_width=WIDE),
        Column("output", [*("x".join(map(str, stage.output_shape)) for stage in stages), ""]),
        Column(BRANCHES, [*(stage.branches for stage in stages), ""], is_text=True),
        Column("depth", counts("depth")),
    ]
    if any("1x1" in stage.filters for stage in stages):
        columns += [
            Column(
                f"#{name.replace('_', ' ')}",
                [*(str(stage.filters.get(name, "")) for stage in stages), ""],
                from_width=WIDE,
            )
            for name in TABLE_1_FILTERS
        ]
    return [
        *columns,
        Column("weights", counts("weights"), from_width=WIDE),
        Column("parameters", counts("parameters")),
        Column("M MACs", counts("multiply_adds", 10**6, ",.2f")),
        Column("field", [*(str(stage.receptive_field) for stage in stages), ""], from_width=MEDIUM),
        Column("MB", counts("activation_bytes", 10**6, ",.2f"), from_width=MEDIUM),
    ]


def paper_columns(rows: Sequence[PaperRow]) -> list[Column]:
    """Returns the columns that show a paper's costs beside ours."""
    return [
        Column("stage", [row.stage for row in rows], is_text=True),
        Column("K weights", [f"{row.weights / KILO:,.1f}" for row in rows]),
        Column("params", [f"{row.paper_weights:,g}" for row in rows]),
        Column("M MACs", [f"{row.multiply_adds / 1e6:,.2f}" for row in rows]),
        Column("ops", [f"{row.paper_multiply_adds:,}" for row in rows]),
        Column("the paper differs in", [row.disagreement for row in rows], is_text=True),
    ]


def weight_columns(found: Sequence[PublishedWeights]) -> list[Column]:
    """Returns the columns that list the published weights."""

    def share(value: float | None) -> str:
        return "" if value is None else f"{value:.2%}"

    return [
        Column("weights", [one.name for one in found], is_text=True),
        Column("network", [one.model for one in found], is_text=True),
        Column("top-1", [share(one.top1) for one in found]),
        Column("top-5", [share(one.top5) for one in found]),
        Column("MB", ["" if one.size is None else f"{one.size / 1e6:.0f}" for one in found]),
        Column("licence", [one.licence or "" for one in found], is_text=True, from_width=MEDIUM),
        Column("address", [one.url or "in the package" for one in found], is_text=True, from_width=WIDE),
    ]


def bottleneck_columns(found: Sequence[Bottleneck]) -> list[Column]:
    """Returns the columns that show what each reduction saves."""
    return [
        Column("convolution", [one.name for one in found], is_text=True),
        Column("kernel", ["x".join(map(str, one.kernel_size)) for one in found]),
        Column("channels", [f"{one.input_channels}-{one.reduced_channels}-{one.filters}" for one in found]),
        Column("direct", [f"{one.direct_weights:,}" for one in found]),
        Column("reduced", [f"{one.reduced_weights:,}" for one in found]),
        Column("saved", [f"{1 - one.reduced_weights / one.direct_weights:.0%}" for one in found]),
    ]


def summary_columns(summaries: Sequence[ModelSummary]) -> list[Column]:
    """Returns the columns that compare models side by side."""

    def share(attribute: str) -> list[str]:
        return [f"{getattr(one, attribute) / one.parameters:.1%}" for one in summaries]

    return [
        Column("model", [one.name for one in summaries], is_text=True),
        Column("input", ["x".join(map(str, one.input_shape)) for one in summaries]),
        Column("parameters", [f"{one.parameters:,}" for one in summaries]),
        Column("conv", share("convolution_parameters")),
        Column("dense", share("dense_parameters")),
        Column("norm", share("normalization_parameters")),
        Column("M MACs", [f"{one.multiply_adds / 1e6:,.0f}" for one in summaries]),
        Column("depth", [str(one.depth) for one in summaries]),
        Column("min", [str(one.minimum_size) for one in summaries]),
    ]


Found = ModelCost | Sequence[ModelSummary] | Sequence[Bottleneck] | Sequence[PaperRow] | Sequence[PublishedWeights]


def markdown_table(found: Found) -> str:
    """Returns what `describe_model`, `compare`, `bottlenecks`, `beside_paper` or `list_weights` found as a table.

    The table has the columns that the command ``python -m googlenet_keras.describe --markdown`` prints.

    Args:
        found: The result of one of these functions.

    Returns:
        A table in GitHub's Markdown; an empty string for an empty list.

    Raises:
        TypeError: If `found` is not the result of one of these functions.
    """
    if isinstance(found, ModelCost):
        return markdown(stage_columns(found))
    if not isinstance(found, Sequence) or (found and type(found[0]) not in _COLUMNS):
        raise TypeError(
            "Only a result of describe_model, compare, bottlenecks, beside_paper or list_weights can become a table. "
            f"Received: {type(found).__name__}"
        )
    return markdown(_COLUMNS[type(found[0])](found)) if found else ""


def markdown(columns: Sequence[Column]) -> str:
    """Returns a table in GitHub's Markdown."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = [":--" if column.is_text else "--:" for column in columns]
    rows = zip(*(column.cells for column in columns), strict=True)
    return "\n".join([line(column.header for column in columns), line(rules), *map(line, rows)])


_COLUMNS: dict[type, Callable[[Any], list[Column]]] = {
    ModelSummary: summary_columns,
    Bottleneck: bottleneck_columns,
    PaperRow: paper_columns,
    PublishedWeights: weight_columns,
}


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """Returns the columns that a terminal of ``width`` characters shows, with the branches wrapped to fit."""
    shown = [column for column in columns if width >= column.from_width]
    others = [column for column in shown if column.header != BRANCHES]
    room = width - len(others) - sum(max(map(len, (column.header, *column.cells))) for column in others)
    return [
        replace(column, cells=[_folded(cell, room) for cell in column.cells]) if column.header == BRANCHES else column
        for column in shown
    ]


def _folded(branches: str, width: int) -> str:
    """Wraps branches at spaces, and between two convolutions only if a branch is longer than a line."""
    lines = [""]
    for word in re.split(r"(?<= )", branches):
        for part in re.split(r"(?<=-)", word) if len(word.rstrip()) > width else [word]:
            if lines[-1] and len(lines[-1] + part.rstrip()) > width:
                lines.append("")
            lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
