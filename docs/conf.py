"""How the pages are built: python -m sphinx -W --keep-going -b html docs docs/_build."""

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = map(str, (HERE / "_ext", HERE.parent / "src", HERE.parent))  # our directives; the library; its tests

project = "linq-typing"
author = "linq-typing maintainers"
copyright = author
release = metadata.version("linq-typing")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser", "sphinx_copybutton", "directives"]
exclude_patterns = ["_build", "_ext"]
nitpicky = True  # a reference in a docstring that leads nowhere is a warning, too
nitpick_ignore_regex = [
    ("py:class", r"(uuid|httpx|collections\.abc)\..+"),  # other sites; the build uses no network
    ("py:class", r"linq_typing\.(sandbox\.)?_.+|GivenOptions"),  # private names in annotations
]
default_role = "code"  # single backticks in docstrings

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "linq-typing"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0060d0", "color-brand-content": "#0060d0"},
    "dark_css_variables": {"color-brand-primary": "#5aa9ff", "color-brand-content": "#5aa9ff"},
}
