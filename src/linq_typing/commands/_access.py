"""Which key and base are used, and which variables they come from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from linq_typing._settings import BASE_URL_VARIABLE, KEY_VARIABLES, Credentials, from_environment

SHORTEST_TELLING: Final = 20
"""Characters: of a shorter key the ends are too much of it to be shown."""


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the API."""

    credentials: Credentials
    key_from: str
    base_from: str | None
    """None: the public base is used."""
    unused_key: str | None
    """A variable that holds another key, which is not used."""

    @property
    def masked_key(self) -> str:
        """The key as far as it may be shown."""
        key = self.credentials.api_key or ""
        ends = f"{key[:4]}...{key[-4:]}" if len(key) >= SHORTEST_TELLING else "***"
        return f"{ends} ({len(key)} characters)"


def access() -> Access:
    """What the environment gives. `ConfigurationError`: nothing that could be used."""
    found = from_environment()
    keys = {name: value for name in KEY_VARIABLES if (value := os.environ.get(name, "").strip())}
    credentials = found.checked()
    others = [name for name, value in keys.items() if value != found.api_key]
    base_from = BASE_URL_VARIABLE if found.base_url else None
    return Access(credentials, next(iter(keys)), base_from, next(iter(others), None))
