"""Validated settings of sessions, managers and the environment. Independent of clients and of the network."""

from __future__ import annotations

import math
import os
import re
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, TypedDict
from urllib.parse import urlsplit
from uuid import UUID

from ._linq import BASE_URL_VARIABLE, KEY_VARIABLES, PUBLIC_BASE_URL, REFRESH_INTERVAL
from .errors import ConfigurationError

ENABLED_VARIABLE: Final = "LINQ_TYPING_ENABLED"
REDIS_URL_VARIABLE: Final = "LINQ_TYPING_REDIS_URL"

_CANONICAL: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII)
_UUID: Final = re.compile(
    r"(?:urn:uuid:)?\{?[0-9a-f]{8}(-?)(?:[0-9a-f]{4}\1){3}[0-9a-f]{12}\}?", re.ASCII | re.IGNORECASE
)

_LONGEST: Final = sys.float_info.max  # a larger int can't be converted to a float

_shown: Final = reprlib.Repr()  # bounded, and survives a __repr__ that raises
_shown.maxstring = _shown.maxother = 100


def parse_chat_id(value: object) -> str:
    """Return the canonical text of a chat id. Raises TypeError for a wrong type, ValueError if it is not a UUID."""
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(f"chat_id must be a str or a uuid.UUID, got {type(value).__name__}: {_shown.repr(value)}")
    if _CANONICAL.fullmatch(value):
        return value
    if not _UUID.fullmatch(value):  # UUID() itself accepts anything that int(value, 16) accepts
        raise ValueError(f"chat_id must be a UUID such as Linq's chat.id, got {_shown.repr(value)}")
    return str(UUID(value))


def check_seconds(name: str, value: object, *, zero: bool = True, none: bool = False) -> None:
    """Raise unless the value is a duration. The error names the argument and the value."""
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, got {type(value).__name__}: {value!r}")
    if not (0 <= value < _LONGEST or value == math.inf) or (value == 0 and not zero):  # NaN fails both
        least = "0 or more" if zero else "more than 0"
        raise ValueError(f"{name} must be a number of seconds, {least}, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Raise unless the value is True or False. The error names the argument and the value."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}: {value!r}")


def check_count(name: str, value: object, least: int) -> None:
    """Raise unless the value is a whole number of at least ``least``. The error names the argument and the value."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}: {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How one session behaves; all durations in seconds."""

    start_delay: float = 0.0
    stop_delay: float = 0.5
    refresh_interval: float = REFRESH_INTERVAL
    max_duration: float | None = 600.0
    resume_after: float | None = None
    wait_on_exit: bool = False

    def __post_init__(self) -> None:
        check_seconds("start_delay", self.start_delay)
        check_seconds("stop_delay", self.stop_delay)
        check_seconds("refresh_interval", self.refresh_interval, zero=False)
        check_seconds("max_duration", self.max_duration, none=True)
        check_seconds("resume_after", self.resume_after, none=True)
        check_flag("wait_on_exit", self.wait_on_exit)

    def scaled(self, time_scale: float) -> SessionOptions:
        """The same options for a clock that runs ``time_scale`` times as fast."""
        return replace(
            self,
            start_delay=self.start_delay / time_scale,
            stop_delay=self.stop_delay / time_scale,
            refresh_interval=self.refresh_interval / time_scale,
            max_duration=None if self.max_duration is None else self.max_duration / time_scale,
            resume_after=None if self.resume_after is None else self.resume_after / time_scale,
        )


OPTIONS: Final = SessionOptions()  #: the defaults
OPTION_NAMES: Final = tuple(option.name for option in fields(SessionOptions))


class GivenOptions(TypedDict, total=False):
    """The :class:`SessionOptions` that a caller passes, each optional."""

    start_delay: float
    stop_delay: float
    refresh_interval: float
    max_duration: float | None
    resume_after: float | None
    wait_on_exit: bool


@dataclass(frozen=True, slots=True)
class HTTPSettings:
    """How requests are made; all durations in seconds."""

    timeout: float = 5.0
    max_retries: int = 4
    backoff_max: float = 8.0
    max_connections: int = 64

    def __post_init__(self) -> None:
        check_seconds("timeout", self.timeout, zero=False)
        check_count("max_retries", self.max_retries, 0)
        check_seconds("backoff_max", self.backoff_max)
        check_count("max_connections", self.max_connections, 1)

    def scaled(self, time_scale: float) -> HTTPSettings:
        """The same settings for a clock that runs ``time_scale`` times as fast. The network's speed stays the same,
        and so does the time-out."""
        return replace(self, backoff_max=self.backoff_max / time_scale)


HTTP: Final = HTTPSettings()  #: the defaults


@dataclass(frozen=True, slots=True)
class Credentials:
    """Base URL, API key, extra headers. The key stays out of the repr."""

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def or_else(self, other: Credentials) -> Credentials:
        """These credentials, with missing fields taken from ``other``."""
        return Credentials(**{f.name: getattr(self, f.name) or getattr(other, f.name) for f in fields(self)})

    @property
    def _name_of_base(self) -> str:
        return BASE_URL_VARIABLE if self.base_url == os.environ.get(BASE_URL_VARIABLE) else "base_url"

    def checked(self) -> Credentials:
        """Return validated credentials, or raise ConfigurationError."""
        if not (self.api_key or "").strip():
            raise _no_key_error()
        try:
            return replace(
                self,
                api_key=_checked_api_key(self.api_key or ""),
                base_url=normalized_base_url(self.base_url or PUBLIC_BASE_URL, self._name_of_base),
            )
        except ValueError as error:
            raise ConfigurationError(str(error)) from None


def _checked_api_key(key: str) -> str:
    """Strip the whitespace that .env files leave around the key. Raises ConfigurationError unless it is a valid header
    value."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("The Linq API key contains characters not allowed in an HTTP header: copy it again.")
    return key


def normalized_base_url(url: str, name: str = "base_url") -> str:
    """Strip a trailing ``/`` or ``/v3`` from the base URL: users write it with and without."""
    if not isinstance(url, str):
        raise TypeError(f"base_url must be a str, got {type(url).__name__}: {url!r}")
    base = url.strip().rstrip("/").removesuffix("/v3").rstrip("/")
    if not _is_http_url(base):
        shown = without_password(url)
        raise ValueError(f"{name} must be an http:// or https:// URL such as {PUBLIC_BASE_URL}, got {shown!r}")
    return base


def without_password(url: str) -> str:
    """The URL with user name and password masked, for display."""
    return re.sub(r"//[^/?#]*@", "//***@", url)


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # parsed only when read; raises ValueError
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not any(map(str.isspace, url))


def from_environment() -> Credentials:
    """The API key and the base URL that the environment sets."""
    keys = (os.environ.get(name, "").strip() for name in KEY_VARIABLES)
    return Credentials(next(filter(None, keys), None), os.environ.get(BASE_URL_VARIABLE) or None)


def _no_key_error() -> ConfigurationError:
    """Names the variables to set, and the one that was set by mistake."""
    first, second = KEY_VARIABLES
    text = f"No Linq API key: pass api_key= or client=, or set {first} (or {second})."
    if os.environ.get("LINQ_API_TOKEN"):
        text += " LINQ_API_TOKEN is set, but it is not read."
    return ConfigurationError(text)


def enabled_by_environment() -> bool:
    """False if ``LINQ_TYPING_ENABLED`` is 0, false, no or off."""
    return os.environ.get(ENABLED_VARIABLE, "1").strip().lower() not in ("0", "false", "no", "off")
