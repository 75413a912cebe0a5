"""Sphinx configuration: builds without a network."""

import sys
from pathlib import Path

import sphinx_autosummary_accessors

import xfusion  # registers the accessors, which the API reference documents

sys.path.insert(0, str(Path(__file__).parent))

import rooms
import rooms_figure

project = "xfusion"
author = "the xfusion developers"
version = release = xfusion.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_autosummary_accessors",
]
templates_path = ["_templates", sphinx_autosummary_accessors.templates_path]
exclude_patterns = ["_build", "_templates", "**/.ipynb_checkpoints"]

# architecture.md shows the code as it is
myst_enable_extensions = ["substitution"]
myst_substitutions = {
    "rooms_figure": rooms_figure.figure(),
    "rooms_table": rooms.table(),
    "rooms_exceptions": rooms.exceptions(),
    "rooms_faces": rooms.faces(),
}

# The tests execute the notebooks; the pages show them as they are in git
nb_execution_mode = "off"

autosummary_generate = True
autodoc_typehints = "none"  # docstrings name types, shapes and units
numpydoc_show_class_members = False  # the template of classes lists them

html_theme = "pydata_sphinx_theme"
html_title = f"xfusion {release}"
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": False, "secondary_sidebar_items": ["page-toc"]}
