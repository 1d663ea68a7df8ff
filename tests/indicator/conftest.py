"""The machine under test is a module, so that the mutants can take its place."""

from types import ModuleType

import pytest

from linq_typing import _indicator


@pytest.fixture(scope="session")
def machine() -> ModuleType:
    return _indicator
