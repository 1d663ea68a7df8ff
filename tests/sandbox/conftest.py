"""Fixtures of the sandbox's own tests."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from sandbox_fakes import FakeClock

from linq_typing.sandbox import Model, Sandbox


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def model(clock: FakeClock) -> Model:
    return Model(clock=clock)


@pytest.fixture
def linq() -> Iterator[Sandbox]:
    """A sandbox that serves, in real time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def http(linq: Sandbox) -> Iterator[httpx.Client]:
    """A client that is let in."""
    headers = {"Authorization": f"Bearer {linq.api_key}"}
    # verify=False saves loading the certificates, which takes longer than most tests.
    with httpx.Client(base_url=linq.base_url, headers=headers, timeout=10, verify=False) as client:
        yield client
