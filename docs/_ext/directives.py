"""The directives of these pages: drawings, tables and help texts that are generated when the pages are built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import modules
import states
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def _raw_html(make: Callable[[], str]) -> type[SphinxDirective]:
    """A directive that puts in what `make` returns."""

    class RawHTML(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            return [nodes.raw("", make(), format="html")]

    return RawHTML


def help_text(*arguments: str) -> str:
    """What the command line says of itself."""
    command = [sys.executable, "-m", "linq_typing", *arguments, "--help"]
    env = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.rstrip()


def commands() -> list[str]:
    """The names of the commands."""
    listed = help_text().partition("Commands:")[2]
    return re.findall(r"^  (\w+) ", listed, re.MULTILINE)


class CommandHelp(SphinxDirective):
    """A section for each command, with its help text."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        return [self._section(name) for name in commands()]

    def _section(self, name: str) -> nodes.Node:
        text = help_text(name)
        section = nodes.section(ids=[f"command-{name}"])
        section += nodes.title("", f"linq-typing {name}")
        block = nodes.literal_block(text, text)
        block["language"] = "text"
        section += block
        return section


def mark_examples(lines: list[str]) -> Iterator[str]:
    """The docstring with a `::` before each indented example, where reStructuredText wants one."""
    for number, line in enumerate(lines):
        begins = line.startswith("    ") and number > 1 and not lines[number - 1]
        before = lines[number - 2] if begins else ""
        if before[:1].strip() and not before.endswith(":"):
            yield from ("::", "")
        yield line


class Docstrings:
    """Prepares docstrings for Sphinx: one hook before Napoleon's, and one after it."""

    def __init__(self) -> None:
        self._attribute: list[str] = []

    def before(self, app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        """Mark examples; keep what Napoleon would take for `type: description`."""
        lines[:] = list(mark_examples(lines))
        self._attribute = list(lines)

    def after(self, app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
        """Put it back."""
        if what in ("attribute", "property"):
            lines[:] = self._attribute


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("indicator-states", _raw_html(states.diagram))
    app.add_directive("indicator-transitions", _raw_html(states.table))
    app.add_directive("module-graph", _raw_html(modules.diagram))
    app.add_directive("command-help", CommandHelp)
    docstrings = Docstrings()
    app.connect("autodoc-process-docstring", docstrings.before, priority=100)
    app.connect("autodoc-process-docstring", docstrings.after, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
