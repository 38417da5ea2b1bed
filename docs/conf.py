"""How Sphinx builds the site: ``make docs-site``."""

from pathlib import Path

from penstock import __version__
from scripts.command_page import commands_markdown

# Written at each build, so that it is of the commands as they are; git ignores it.
(Path(__file__).parent / "cli.md").write_text(commands_markdown(), encoding="utf-8")

project = "Penstock"
release = version = __version__

extensions = [
    "myst_parser",  # pages are Markdown
    "sphinx.ext.autodoc",  # the API reference, from docstrings
    "sphinx.ext.autosummary",  # its tables
    "sphinx.ext.napoleon",  # docstrings are in NumPy's style
]

html_theme = "furo"
html_title = f"Penstock {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False

smartquotes = False  # they would make one dash of the two before an option
# Links to headings as GitHub names them: page.md#some-heading.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say the types
autodoc_preserve_defaults = True
default_role = "literal"  # `names` in docstrings
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
