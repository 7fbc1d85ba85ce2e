"""What a model costs and what it looks like; as a command, ``python -m googlenet_keras.describe``.

Names are looked up when they are first used, so that the command's ``--help`` costs next to nothing.
"""

from googlenet_keras import lazy

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
    "googlenet_keras.describe.cost": ("count_multiply_adds",),
    "googlenet_keras.describe.minimum": ("head_arguments", "minimum_size", "smallest_input"),
    "googlenet_keras.describe.pictures": ("plot_model", "render"),
    "googlenet_keras.describe.stages": ("ModelCost", "Stage", "describe_model"),
}

__getattr__, __dir__, __all__ = lazy.exports(__name__, _HOMES)
