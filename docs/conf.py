"""How the pages are built: Sphinx, furo, autodoc, and sphinxcontrib-trio, which says what is async.

`make docs` builds them with ``-n -W``: a reference to something that isn't there fails.
"""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.pycode import ModuleAnalyzer

import trioq
from trioq._exports import PUBLIC

if TYPE_CHECKING:
    from docutils.nodes import Element, TextElement
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "trioq"
author = "the trioq authors"
copyright = author  # noqa: A001  # Sphinx's name for it
version = release = trioq.__version__

extensions = ["sphinx.ext.autodoc", "sphinxcontrib_trio"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "trioq"

default_role = "py:obj"  # `Queue` in a docstring is a reference
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"

# What isn't ours is no link: the inventories of others would have to be fetched at each build.
_OTHERS = "|".join(sorted(sys.stdlib_module_names | {"attr", "attrs", "msgspec", "psycopg", "trio", "trio_util"}))
nitpick_ignore_regex = [("py:.*", rf"({_OTHERS})\..+"), ("py:.*", "|".join(dir(builtins)))]


def lend_comments() -> None:
    """Show autodoc the ``#:`` comments of private modules, which it looks for where a class says that it lives."""
    found, order = {}, {}
    for path in Path(*trioq.__path__).rglob("*.py"):
        analyzer = ModuleAnalyzer.for_file(path, "trioq")
        analyzer.analyze()
        found |= analyzer.attr_docs
        order |= analyzer.tagorder
    for name in PUBLIC:
        analyzer = ModuleAnalyzer.for_module(name)
        analyzer.analyze()
        analyzer.attr_docs = found | analyzer.attr_docs
        analyzer.tagorder = order | analyzer.tagorder


def search_everywhere(app: Sphinx, env: BuildEnvironment, node: Element, contnode: TextElement) -> Element | None:
    """Find what lives in another module than the page or docstring that names it: `step`, said by ``trioq.Job``."""
    if node.get("refdomain") != "py" or node.get("refspecific"):
        return None
    node["refspecific"] = True
    return env.domains["py"].resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], node["reftarget"], node, contnode
    )


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    lend_comments()
    app.connect("missing-reference", search_everywhere)
