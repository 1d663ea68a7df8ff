"""For all tests."""

from pathlib import Path

import pytest

from linq_typing._session import stack

#: They start processes, browsers or whole runs of pytest, and depend little on the interpreter.
SLOW_FOLDERS = {"browser", "examples", "testing"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_session_of_another_test() -> None:
    """pytest runs all tests in one context, and some leave their sessions elsewhere on purpose."""
    stack.set(None)
