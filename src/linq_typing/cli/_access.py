"""Which API key and base URL are used, and where they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import click

from linq_typing._linq import BASE_URL_VARIABLE, KEY_VARIABLES, PUBLIC_BASE_URL
from linq_typing._settings import Credentials, from_environment, normalized_base_url, without_password
from linq_typing.errors import ConfigurationError

SHORTEST_SHOWN: Final = 20
"""Characters. The ends of a shorter key would give away too much of it."""


@dataclass(frozen=True, slots=True)
class Access:
    """The credentials, and their sources."""

    credentials: Credentials
    key_from: str
    """The name of an option or a variable."""
    base_from: str | None
    """The same; None: the public base URL is used."""
    unused_key: str | None
    """A variable with another key, which is not used."""

    @property
    def masked_key(self) -> str:
        """The key with its middle hidden."""
        key = self.credentials.api_key or ""
        ends = f"{key[:4]}...{key[-4:]}" if len(key) >= SHORTEST_SHOWN else "***"
        return f"{ends} ({len(key)} characters)"


class AccessError(click.UsageError):
    """The API key or the base URL is missing or unusable."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem, self.fix = problem, fix


def access(api_key: str | None, base_url: str | None) -> Access:
    """The access that the options give, or else the environment. Raises `AccessError`."""
    base_from, base = _base(base_url)
    keys = {} if api_key is None else {"--api-key": api_key.strip()}
    keys |= {name: value for name in KEY_VARIABLES if (value := os.environ.get(name, "").strip())}
    key_from, key = next(iter(keys.items()), ("", ""))
    if not key:
        raise _no_key(key_from)
    try:
        credentials = Credentials(key, base).checked()
    except ConfigurationError:
        problem = f"The key in {key_from} contains characters not allowed in an HTTP header."
        raise AccessError(problem, "Copy it again.") from None
    unused = next((name for name, value in keys.items() if value != key), None)
    return Access(credentials, key_from, base_from, unused)


def _base(option: str | None) -> tuple[str | None, str]:
    """Where the base URL comes from (None: it is the public one), and the base URL."""
    given, source = (from_environment().base_url, BASE_URL_VARIABLE) if option is None else (option, "--base-url")
    if given is None:
        return None, PUBLIC_BASE_URL
    try:
        return source, normalized_base_url(given)
    except ValueError:
        problem = f"{source} is not an http:// or https:// URL: {without_password(given)!r}."
        raise AccessError(problem, f"Write it like {PUBLIC_BASE_URL}.") from None


def _no_key(empty: str) -> AccessError:
    first, second = KEY_VARIABLES
    token = " LINQ_API_TOKEN is set, but that is not the variable's name." if os.environ.get("LINQ_API_TOKEN") else ""
    return AccessError(
        f"{empty} is empty." if empty else f"No Linq API key.{token}",
        f"Set {first} (or {second}), or pass --api-key. A .env file is not read: export its variables first.",
    )
