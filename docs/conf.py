"""Sphinx configuration: builds without a network, and executes the notebooks and the how-tos."""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

import myst_nb.core.render
import sphinx_autosummary_accessors

import xfusion  # registers the accessors, which the API reference documents

sys.path.insert(0, str(Path(__file__).parent))

import kept_outputs
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
myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "substitution"]
myst_substitutions = {
    "rooms_figure": rooms_figure.figure(),
    "rooms_table": rooms.table(),
    "rooms_exceptions": rooms.exceptions(),
    "rooms_faces": rooms.faces(),
}


def joined_streams(outputs):
    """Join what a cell has written as it was: that of myst-nb breaks lines where chunks end."""
    joined, streams = [], {}
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append(output)
        elif output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        else:
            streams[output["name"]] = output
            joined.append(output)
    return joined


# Pages show what their code gives now, not what some earlier version gave: nothing is kept between
# builds, and a cell that raises ends the build.
nb_execution_mode = "force"
nb_execution_in_temp = True  # files that cells write are gone afterwards
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
myst_nb.core.render.coalesce_streams = joined_streams
nb_output_stderr = "remove"  # bars, and the notice that kernels are compiled, differ by machine

# The kernel is this Python, with the commands beside it and none of the settings of who builds
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
os.environ["IPYTHONDIR"] = os.environ["JUPYTER_CONFIG_DIR"] = tempfile.mkdtemp()
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ.pop("MPLBACKEND", None)

# Two notebooks need real data, which do not come with the repository, and one needs PyTorch, which
# is larger than all else that the site is built with: without them a page has kept outputs
not_executed = set()
DATA = Path(os.environ.get("XFUSION_DATA", Path(__file__).parents[2] / "shared" / "data"))
if (DATA / "sen1floods11").is_dir():
    os.environ["XFUSION_DATA"] = str(DATA)
else:
    not_executed |= {*kept_outputs.NEEDS}
if importlib.util.find_spec("torch") is None:
    not_executed |= {"05_a_network_from_bands_to_a_map"}
nb_execution_excludepatterns = [f"notebooks/{stem}.ipynb" for stem in sorted(not_executed)]


def put_kept_outputs(_, docname, source):
    """Show what a run gave, of a notebook that is not run here."""
    folder, _, stem = docname.rpartition("/")
    if folder == "notebooks" and stem in not_executed:
        source[0] = json.dumps(kept_outputs.with_kept_outputs(json.loads(source[0]), stem))


def setup(app):
    """Have it called for each page before it is read."""
    app.connect("source-read", put_kept_outputs)


autosummary_generate = True
autodoc_typehints = "none"  # docstrings name types, shapes and units
numpydoc_show_class_members = False  # the template of classes lists them

html_theme = "pydata_sphinx_theme"
html_title = f"xfusion {release}"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_sidebars = {"index": [], "gallery": []}  # no pages beneath them
html_theme_options = {
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,  # as many as there are sections, on one line
    "show_nav_level": 1,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
