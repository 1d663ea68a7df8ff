"""A sandbox, a chat in it, and what holds the model back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from linq_typing.sandbox import Sandbox


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def chat(linq: Sandbox) -> str:
    return linq.chat()


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    return tmp_path / "hold"
