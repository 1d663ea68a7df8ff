"""The API's answers explained: what is wrong, and how to fix it. Pure."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from linq_typing._linq import BASE_URL_VARIABLE, PUBLIC_BASE_URL
from linq_typing.cli._probe import Probe, causes
from linq_typing.errors import APIStatusError, APITimeoutError

NOT_SHOWN: Final = (
    "the API also accepts requests that show nothing: in SMS and RCS chats, in chats without a message in the last 5 "
    "minutes, and after the person has re-opened the chat, until the next stop."
)


class Problem(NamedTuple):
    """What is wrong, and how to fix it."""

    what: str
    fix: str


_WRONG_BASE: Final = f"Check --base-url and {BASE_URL_VARIABLE}; without them the base is {PUBLIC_BASE_URL}."

_BY_CODE: Final = {
    2001: Problem(
        "Linq has no such chat for this key: your number has left it, or it belongs to another account.",
        "Take chat.id from a webhook or an answer that this key received.",
    ),
    2005: Problem(
        "Linq allows no typing indicator in this chat: it is a group chat on an older deployment, or it "
        "belongs to another key.",
        "For a group chat, no action is needed: the library asks only once. Otherwise check the key and the chat id.",
    ),
    2006: Problem(
        "The line of this chat is not eligible: this key may not use it.",
        "Ask Linq's support to check the line's permissions, or use the key of the line's account.",
    ),
    2009: Problem("The chat is still being created.", "Try again in a few seconds; the library does."),
    2013: Problem(
        "This chat is unavailable: the line has left it, or the person can't be reached.",
        "Use another chat with this person.",
    ),
    4005: Problem(
        "The recipient can't be shown an indicator: the chat does not use iMessage.",
        "Nothing to fix: messages still arrive.",
    ),
}

_BY_STATUS: Final = {
    401: Problem(
        "Linq does not know this key.",
        "Copy the whole key again from Linq's dashboard. A key works with one base URL only.",
    ),
    403: Problem(
        "Linq forbids typing indicators in this chat for this key.",
        "Check that the chat belongs to the key's account, that its line is eligible, and that it is not a group chat.",
    ),
    404: Problem("There is no Linq API at this address.", _WRONG_BASE),
    408: Problem("Linq took too long.", "Try again; the library does so by itself."),
    409: Problem("Linq refuses this in the chat's present state.", "See the message above; try again later."),
    429: Problem("Too many requests with this key.", "Wait, then try again; the library waits as long as Linq says."),
}


def problem_of(probe: Probe) -> Problem | None:
    """What is wrong; None if the request was accepted."""
    if probe.is_page:
        return Problem("A web page answered, not the Linq API: the base URL is wrong, or a proxy answered instead.",
                       _WRONG_BASE)  # fmt: skip
    if isinstance(probe.error, APIStatusError):
        return _of_status(probe.error)
    if probe.error is not None:
        return _of_connection(probe)
    return None


def answer_of(probe: Probe) -> str:
    """The answer in one line."""
    took = f"{1000 * probe.seconds:.0f} ms"
    if probe.is_page:
        return f"a web page (HTTP {probe.status}, {took})"
    return f"accepted ({probe.status}, {took})" if probe.error is None else f"{probe.error} ({took})"


def facts_of(probe: Probe) -> dict[str, Any]:
    """The answer for a script."""
    error = probe.error
    return {
        "status": probe.status,
        "code": getattr(error, "code", None),
        "trace_id": getattr(error, "trace_id", None),
        "error": None if error is None else str(error),
        "milliseconds": round(1000 * probe.seconds),
    }


def json_result(facts: Mapping[str, Any], problem: Problem | None) -> str:
    """The whole output of a command for a script."""
    what, fix = problem or (None, None)
    return json.dumps({"ok": problem is None, **facts, "problem": what, "fix": fix})


def key_is_known(probe: Probe) -> bool:
    """Whether the API knows the key, judging by its answer for a chat that does not exist."""
    if probe.error is None or probe.is_page:
        return not probe.is_page
    return isinstance(probe.error, APIStatusError) and probe.error.status_code == 404 and probe.error.code is not None


def _of_status(error: APIStatusError) -> Problem:
    status = error.status_code
    if status != 401 and error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < 400:
        return Problem("The base URL redirects to another address, so it is not the API's.", _WRONG_BASE)
    if status >= 500:
        return Problem("Linq has an internal error.", "Try again in a minute; the library does so by itself.")
    return Problem("Linq refuses the request.", "See the message above.")


def _of_connection(probe: Probe) -> Problem:
    chain = list(causes(probe.cause))
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return Problem("The base URL's host can't be found: its name is wrong, or there is no network.", _WRONG_BASE)
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return Problem(
            "No secure connection: the host does not use TLS on this port, or its certificate is not trusted.",
            "Check whether the base URL should begin with http or https. For a private CA set SSL_CERT_FILE.",
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in chain):
        return Problem(
            "Nothing listens on this address.", f"{_WRONG_BASE} If it is a sandbox, check that it is still running."
        )
    if isinstance(probe.error, APITimeoutError):
        return Problem("No answer came in time.", "Check the network, a firewall or proxy, and the base URL.")
    return Problem("The API can't be reached.", "Check the network, a firewall or proxy, and the base URL.")
