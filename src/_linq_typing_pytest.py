"""The pytest plugin: the fixture `linq_sandbox`.

Imports nothing but pytest: it is loaded by every pytest run of an environment that has `linq-typing`, before
coverage is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from linq_typing.sandbox import Sandbox

_failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "linq_sandbox(time_scale=10, **options): options of the fixture linq_sandbox; see linq_typing.testing.sandbox",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Remember whether the test has failed, skipped or xfailed by itself."""
    before = False if call.when == "setup" else item.stash.get(_failed, False)
    item.stash[_failed] = before or call.excinfo is not None


@pytest.fixture
def linq_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A local Linq API that the environment variables and `typing_while` point at, ten times as fast as the real one.

    At the end of a test that has passed it flushes, and fails the test if an indicator is left showing.
    """
    try:
        from linq_typing.testing._ghosts import GhostError, assert_no_ghost
        from linq_typing.testing._sandbox import pointed_at_sandbox
    except ImportError as error:
        pytest.fail(f"the fixture linq_sandbox can't be used: {error}", pytrace=False)
    marker = request.node.get_closest_marker("linq_sandbox")
    ghosts = ""
    with pointed_at_sandbox(**(marker.kwargs if marker else {})) as linq:
        yield linq
        if not request.node.stash.get(_failed, False):
            try:
                assert_no_ghost(linq)
            except GhostError as error:
                ghosts = str(error)
    if ghosts:
        pytest.fail(ghosts, pytrace=False)  # no traceback: it would only show this file
