"""The exception tree."""

import copy
import pickle

import pytest

import linq_typing
from linq_typing import errors
from linq_typing.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    LinqTypingError,
)

FULL = {"status_code": 429, "code": 1007, "trace_id": "t-1", "doc_url": "https://docs", "retry_after": 2.5}


def test_the_tree_is_as_drawn() -> None:
    """Catching a parent catches what is indented below it."""
    bases = {name: getattr(errors, name).__mro__[1].__name__ for name in errors.__all__}
    assert bases == {
        "APIConnectionError": "LinqTypingError",
        "APIStatusError": "LinqTypingError",
        "APITimeoutError": "APIConnectionError",
        "ConfigurationError": "LinqTypingError",
        "LinqTypingError": "Exception",
    }


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_are_re_exported(name: str) -> None:
    """One import from the package is enough."""
    assert getattr(linq_typing, name) is getattr(errors, name)


@pytest.mark.parametrize("kind", [LinqTypingError, ConfigurationError, APIConnectionError, APITimeoutError])
@pytest.mark.parametrize("duplicate", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_plain_errors_survive_copying_and_pickling(kind: type[LinqTypingError], duplicate) -> None:
    """A worker process may send them home."""
    twin = duplicate(kind("what happened"))
    assert (type(twin), str(twin), twin.message) == (kind, "what happened", "what happened")


@pytest.mark.parametrize("duplicate", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])
def test_a_status_error_keeps_everything(duplicate) -> None:
    """All attributes, not only the message."""
    error = APIStatusError("slow down", **FULL)
    twin = duplicate(error)
    assert vars(twin) == vars(error) == {"message": "slow down", **FULL}
    assert str(twin) == str(error)


def test_a_status_error_says_what_is_known() -> None:
    """Status, code, message and trace id in one line."""
    assert str(APIStatusError("slow down", **FULL)) == "HTTP 429, code 1007: slow down (trace t-1)"


def test_a_status_error_leaves_out_what_is_not_known() -> None:
    """No 'None' in a log line; code 0 is a code."""
    assert str(APIStatusError("Bad Gateway", status_code=502)) == "HTTP 502: Bad Gateway"
    assert str(APIStatusError("x", status_code=400, code=0)) == "HTTP 400, code 0: x"
