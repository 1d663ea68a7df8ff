"""Unit tests see no key, no base and no switch of the developer's own environment."""

import pytest

VARIABLES = ("LINQ_API_V3_API_KEY", "LINQ_API_KEY", "LINQ_API_V3_BASE_URL", "LINQ_TYPING_ENABLED", "LINQ_API_TOKEN")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
