"""A sandbox, and somebody at a command line."""

from collections.abc import Iterator

import pytest
from commands_kit import Terminal

from linq_typing.sandbox import Sandbox


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with Sandbox() as linq:
        yield Terminal(linq)
