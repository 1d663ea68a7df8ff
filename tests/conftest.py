"""For all tests."""

import pytest

from linq_typing._session import stack


@pytest.fixture(autouse=True)
def _no_session_of_another_test() -> None:
    """pytest runs all tests in one context, and some leave their sessions elsewhere on purpose."""
    stack.set(None)
