"""Reads the credentials of a client: one of httpx, of its fork httpx2, or of the official SDK, which wraps one."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, cast

import httpx

from ._settings import Credentials

logger = logging.getLogger("linq_typing")

HTTPXClient = httpx.Client | httpx.AsyncClient

# Headers about the client or its bodies: not copied to our requests.
_NOT_LENT: Final = frozenset(
    ["accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "user-agent"]
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def classes(*names: str) -> tuple[Any, ...]:
    """The classes of these names: httpx's, and httpx2's if the program has imported it."""
    modules = dict.fromkeys([httpx, sys.modules.get("httpx2")])  # httpx2 may be both: see its alias_httpx
    return tuple(getattr(module, name) for module in modules for name in names if hasattr(module, name))


def credentials_of(client: object) -> Credentials:
    """The key, base URL and default headers that a client was made with; those that can't be used are left out.

    TypeError for another type of client.
    """
    if http_client_of(client) is client:
        given: Any = _attribute(client, "headers")
        raw = given.raw if isinstance(given, classes("Headers")) else []  # httpx can't decode odd bytes
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
        key: object = _bearer(headers.get("authorization", ""))
    else:
        given = _attribute(client, "default_headers")
        headers = dict(given) if isinstance(given, Mapping) else {}
        key = _attribute(client, "api_key")
    base_url = _attribute(client, "base_url")
    return Credentials(
        key if isinstance(key, str) else None,
        str(base_url) or None if isinstance(base_url, (str, *classes("URL"))) else None,
        {name: value for name, value in headers.items() if _is_copied(name, value)},
    )


def _attribute(client: object, name: str) -> object:
    try:
        return getattr(client, name, None)
    except Exception:  # a property of a subclass may raise anything
        logger.debug("could not read %s of a %s", name, type(client).__name__, exc_info=True)
        return None


def _is_copied(name: object, value: object) -> bool:
    """Whether to copy the header to our requests."""
    if not (isinstance(name, str) and isinstance(value, str) and _HEADER_NAME.fullmatch(name)):
        return False
    if name.lower() in _NOT_LENT or name.lower().startswith("x-stainless-"):
        return False
    return value.isascii() and value.isprintable() and value == value.strip()


def http_client_of(client: object) -> HTTPXClient:
    for candidate in (client, getattr(client, "_client", None)):  # where the official SDK keeps its httpx client
        if isinstance(candidate, classes("Client", "AsyncClient")):
            return cast(HTTPXClient, candidate)
    raise TypeError(
        "client must be an httpx.Client, an httpx.AsyncClient (httpx2's will do) or a client of the official SDK "
        f"(linq-python), got {type(client).__name__}"
    )


def _bearer(authorization: str) -> str | None:
    kind, _, key = authorization.partition(" ")
    return key if kind.lower() == "bearer" and key else None
