"""Every Python block of README and of the pages is run, and asks what `checks` says it asks."""

from __future__ import annotations

import re
import textwrap

import pytest

import linq_typing
from linq_typing.sandbox import Sandbox
from patience import PATIENCE

from .checks import PAGES, README, Check
from .kit import ROOT, Block, Names, blocks_in, blocks_of

CHECKS = {"README.md": README, **PAGES}
FOUND = {page: blocks_of(page) for page in CHECKS}
EACH = [
    pytest.param(block, check, id=f"{page}:{block.line}")
    for page, blocks in FOUND.items()
    for block, check in zip(blocks, CHECKS[page], strict=False)
]


def test_every_page_with_a_block_is_checked() -> None:
    """Wherever it is."""
    pages = (path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))
    assert {page for page in pages if blocks_of(page)} == set(PAGES)


@pytest.mark.parametrize("page", CHECKS)
def test_every_block_has_its_check(page: str) -> None:
    """In the order of the page."""
    assert [block.heading for block in FOUND[page]] == [check.heading for check in CHECKS[page]]


@pytest.mark.parametrize(("block", "check"), EACH)
def test_block_compiles_and_imports_what_exists(block: Block, check: Check) -> None:
    """Whatever else is installed."""
    block.compiled()
    for module, name in block.imports():
        if module.partition(".")[0] == "linq_typing":
            home = __import__(module, fromlist=[name])
            assert not name or hasattr(home, name), f"{module}.{name}"


@pytest.mark.parametrize(("block", "check"), EACH)
def test_block(block: Block, check: Check, sandbox: Sandbox, names: Names) -> None:
    """It runs, makes the requests that it should, and leaves no ghost."""
    if missing := block.missing(check.modules, *filter(None, [check.needs])):
        pytest.skip(f"not installed: {', '.join(sorted(missing))}")
    block.run(names, check.modules)
    check.then(names)
    linq_typing.close()
    timeline = sandbox.timeline(names["chat_id"])
    assert re.fullmatch(check.requests, " ".join(request.endpoint for request in timeline.requests))
    landed = max((message.lands_at for message in timeline.messages), default=0.0)
    assert sandbox.wait_until(lambda: sandbox.now > landed, PATIENCE)
    assert not sandbox.ghosts()


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/how-to/")])
def test_recipes_are_short(page: str) -> None:
    """One reads them at a glance."""
    for block in FOUND[page]:
        assert len(block.code.splitlines()) <= 40, f"{page}:{block.line}"


@pytest.mark.parametrize("page", PAGES)
def test_code_fits_the_width_of_a_page(page: str) -> None:
    """No reader has to scroll sideways."""
    for block in FOUND[page]:
        for number, line in enumerate(block.code.splitlines(), block.line + 1):
            assert len(line) <= 84, f"{page}:{number}"


def test_blocks_are_found() -> None:
    """The extraction itself: headings, languages, and blocks that hold `await`."""
    markdown = textwrap.dedent("""\
        # One
        ```bash
        # not a heading
        ```
        ## Two
        ```python
        await go()
        ```
        """)
    assert blocks_in(markdown) == [Block("", "Two", "await go()", 6)]
