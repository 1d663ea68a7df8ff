"""Unit tests see no key, no base, no switch and no proxy of the developer's own environment."""

import pytest

VARIABLES = ("LINQ_API_V3_API_KEY", "LINQ_API_KEY", "LINQ_API_V3_BASE_URL", "LINQ_TYPING_ENABLED", "LINQ_API_TOKEN")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *PROXIES, *map(str.lower, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
