"""How Sphinx makes a site of these pages: ``pip install ".[docs]" && sphinx-build docs site``."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import googlenet_keras

project = "googlenet_keras"
author = "The googlenet_keras developers"
copyright = f"2026, {author}"
release = googlenet_keras.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the notebooks hold their outputs, and a test runs them
html_theme = "furo"
html_title = project
html_extra_path = ["../saved_models/googlenet_architecture.html"]
autodoc_typehints = "description"
autodoc_member_order = "groupwise"
napoleon_use_ivar = True
# Links to files of the repository that are no pages, such as recipes; attributes of one name in several classes.
suppress_warnings = ["myst.xref_missing", "ref.python"]
