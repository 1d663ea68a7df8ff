"""The machine under test is a module, so that the mutants can take its place."""

from types import ModuleType

import pytest

from linq_typing._core import indicator as _indicator


@pytest.fixture(scope="session")
def machine() -> ModuleType:
    return _indicator
