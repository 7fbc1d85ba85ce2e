from .attribution import grad_cam as grad_cam, smooth_grad as smooth_grad
from .branches import BranchResponse as BranchResponse, branch_responses as branch_responses
from .pictures import (
    plot_branches as plot_branches,
    plot_classes as plot_classes,
    plot_filters as plot_filters,
    plot_images as plot_images,
)
from .subject import Subject as Subject
from .visualization import Target as Target, dream as dream, find_target as find_target, visualize as visualize
