"""What a model costs and what it looks like; as a command, ``python -m googlenet_keras.describe``.

Names are looked up when they are first used, so that the command's ``--help`` costs next to nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "googlenet_keras.describe.architecture": ("architecture_graph", "plot_architecture"),
    "googlenet_keras.describe.reductions": ("Bottleneck", "bottlenecks"),
    "googlenet_keras.describe.comparison": (
        "ModelSummary",
        "check_plot_path",
        "compare",
        "plot_comparison",
        "summarize",
    ),
    "googlenet_keras.describe.cost": ("count_kernel_weights", "count_multiply_adds"),
    "googlenet_keras.describe.minimum": ("head_arguments", "minimum_size", "smallest_input"),
    "googlenet_keras.describe.pictures": ("plot_model", "render"),
    "googlenet_keras.describe.stages": ("ModelCost", "Stage", "describe_model"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]  # noqa: PLE0604 (names all the same)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
