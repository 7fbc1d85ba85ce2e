from .architecture import architecture_graph as architecture_graph, plot_architecture as plot_architecture
from .comparison import (
    ModelSummary as ModelSummary,
    check_plot_path as check_plot_path,
    compare as compare,
    plot_comparison as plot_comparison,
    summarize as summarize,
)
from .cost import count_multiply_adds as count_multiply_adds
from .minimum import head_arguments as head_arguments, minimum_size as minimum_size, smallest_input as smallest_input
from .page import write_architecture_page as write_architecture_page
from .paper import PaperRow as PaperRow, beside_paper as beside_paper
from .pictures import plot_model as plot_model, render as render
from .reductions import Bottleneck as Bottleneck, bottlenecks as bottlenecks
from .stages import ModelCost as ModelCost, Stage as Stage, describe_model as describe_model
from .tables import markdown_table as markdown_table
