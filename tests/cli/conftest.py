"""A sandbox, and somebody at a command line."""

from collections.abc import Iterator

import pytest

from linq_typing.sandbox import Sandbox

from .kit import Terminal


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Sandbox() as linq:
        yield Terminal(linq)
