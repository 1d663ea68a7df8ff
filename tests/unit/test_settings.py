"""What a session, a manager and the environment say, and how bad input is told."""

import inspect
import math
import uuid
from dataclasses import asdict
from typing import Any

import pytest

import linq_typing
from linq_typing import TypingManager
from linq_typing._linq import PUBLIC_BASE_URL
from linq_typing._manager import ManagerSettings
from linq_typing._settings import (
    OPTION_NAMES,
    Credentials,
    GivenOptions,
    HTTPSettings,
    SessionOptions,
    enabled_by_environment,
    from_environment,
    normalized_base_url,
    parse_chat_id,
)
from linq_typing.errors import ConfigurationError

from .kit import CHAT

DURATIONS = ["start_delay", "stop_delay", "refresh_interval", "max_duration", "resume_after"]


# -- Chat ids


@pytest.mark.parametrize(
    "value", [CHAT, CHAT.upper(), CHAT.replace("-", ""), f"{{{CHAT}}}", f"urn:uuid:{CHAT}", uuid.UUID(CHAT)]
)
def test_all_spellings_of_a_chat_id_are_one_chat(value: object) -> None:
    """The canonical text is the key of the registry."""
    assert parse_chat_id(value) == CHAT


@pytest.mark.parametrize("value", ["", "chat", CHAT[:-1], CHAT + "0", "g" * 32, "+15551234567"])
def test_a_chat_id_that_is_no_uuid_is_a_value_error(value: str) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(ValueError, match="chat_id must be a UUID") as caught:
        parse_chat_id(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, CHAT.encode(), [CHAT], object()])
def test_a_chat_id_of_another_type_is_a_type_error(value: object) -> None:
    """The message names the argument, the type and the value."""
    with pytest.raises(TypeError, match=r"chat_id must be a str or a uuid\.UUID") as caught:
        parse_chat_id(value)
    assert type(value).__name__ in str(caught.value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", ["1_" * 15 + "11", " " + "1" * 31, "0x" + "1" * 30, "\u0663" * 32])
def test_what_only_looks_like_hexadecimal_is_no_uuid(value: str) -> None:
    """A bot that mixes up its variables is told so, instead of typing in a chat that does not exist."""
    with pytest.raises(ValueError, match="chat_id"):
        parse_chat_id(value)


# -- Options


def test_the_defaults_are_those_of_the_contract() -> None:
    """They are documented, and tests and users rely on them."""
    assert SessionOptions() == SessionOptions(0.0, 0.5, 60.0, 600.0, None, False)
    assert HTTPSettings() == HTTPSettings(5.0, 4, 8.0, 64)


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [-1, -0.001, math.nan, -math.inf])
def test_negative_and_nan_durations_are_value_errors(name: str, value: float) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(ValueError, match=rf"^{name} must .*seconds.*, got {value!r}$"):
        SessionOptions(**{name: value})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", ["5", True, [1]])
def test_durations_of_another_type_are_type_errors(name: str, value: object) -> None:
    """True is no second."""
    with pytest.raises(TypeError, match=rf"^{name} must be a number of seconds, got {type(value).__name__}") as caught:
        SessionOptions(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["start_delay", "stop_delay", "refresh_interval"])
def test_none_is_no_duration_where_it_means_nothing(name: str) -> None:
    """Only max_duration and resume_after know None."""
    with pytest.raises(TypeError, match=name):
        SessionOptions(**{name: None})  # type: ignore[arg-type]


def test_none_means_no_cap_and_no_resuming() -> None:
    """The two options that know None take it."""
    assert SessionOptions(max_duration=None, resume_after=None).max_duration is None


@pytest.mark.parametrize("name", ["start_delay", "stop_delay", "max_duration", "resume_after"])
@pytest.mark.parametrize("value", [0, 0.0, 3, math.inf])
def test_zero_whole_and_endless_durations_are_fine(name: str, value: float) -> None:
    """No needless strictness."""
    assert getattr(SessionOptions(**{name: value}), name) == value


@pytest.mark.parametrize("value", [0, 0.0])
def test_a_refresh_interval_of_zero_is_a_value_error(value: float) -> None:
    """It would be a storm."""
    with pytest.raises(ValueError, match=rf"refresh_interval must be a number of seconds, more than 0, got {value!r}"):
        SessionOptions(refresh_interval=value)


def test_a_number_beyond_float_is_a_value_error() -> None:
    """math.isnan() can't take it."""
    with pytest.raises((ValueError, TypeError), match="start_delay"):
        SessionOptions(start_delay=10**400)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("timeout", 0, ValueError),
        ("timeout", -1, ValueError),
        ("timeout", math.nan, ValueError),
        ("timeout", None, TypeError),
        ("timeout", "5", TypeError),
        ("max_retries", -1, ValueError),
        ("max_retries", 1.5, TypeError),
        ("max_retries", True, TypeError),
        ("max_retries", None, TypeError),
        ("backoff_max", -0.5, ValueError),
        ("backoff_max", math.nan, ValueError),
        ("backoff_max", None, TypeError),
        ("max_connections", 0, ValueError),
        ("max_connections", "64", TypeError),
    ],
)
def test_bad_http_settings_are_told(name: str, value: object, error: type[Exception]) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(error, match=rf"^{name} must ") as caught:
        HTTPSettings(**{name: value})  # type: ignore[arg-type]
    assert repr(value) in str(caught.value)


def test_no_retries_and_no_backoff_are_fine() -> None:
    """Zero is a choice."""
    assert HTTPSettings(max_retries=0, backoff_max=0, max_connections=1).max_retries == 0


# -- Credentials and the environment


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (PUBLIC_BASE_URL, PUBLIC_BASE_URL),
        (PUBLIC_BASE_URL + "/", PUBLIC_BASE_URL),
        (PUBLIC_BASE_URL + "/v3", PUBLIC_BASE_URL),
        (PUBLIC_BASE_URL + "/v3/", PUBLIC_BASE_URL),
        (PUBLIC_BASE_URL + "//v3//", PUBLIC_BASE_URL),
        (f"  {PUBLIC_BASE_URL}\n", PUBLIC_BASE_URL),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://localhost:8080/v3", "http://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://api.example/v30", "https://api.example/v30"),
        ("HTTPS://api.example", "HTTPS://api.example"),
    ],
)
def test_all_forms_of_a_base_url_are_accepted(given: str, expected: str) -> None:
    """With or without /v3 and slashes: users write it every way."""
    assert normalized_base_url(given) == expected


@pytest.mark.parametrize("url", ["", "api.linqapp.com", "ftp://api.example", "https://", "/v3", "https:///v3"])
def test_what_is_no_http_url_is_a_value_error(url: str) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(ValueError, match=r"base_url must be an http:// or https:// URL") as caught:
        normalized_base_url(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize("url", ["http://[", "http://host:port", "http://host:99999", "https://api .example"])
def test_a_malformed_http_url_names_the_argument_too(url: str) -> None:
    """urllib's own words, or no words until the first request, help nobody."""
    with pytest.raises(ValueError, match=r"base_url"):
        normalized_base_url(url)


def test_a_base_url_of_another_type_is_a_type_error() -> None:
    """An httpx.URL or a pathlib path is a likely slip."""
    with pytest.raises(TypeError, match="base_url"):
        normalized_base_url(8080)  # type: ignore[arg-type]


def test_the_sdks_variable_wins_over_the_documentations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both may be set."""
    monkeypatch.setenv("LINQ_API_KEY", "docs")
    assert from_environment().api_key == "docs"
    monkeypatch.setenv("LINQ_API_V3_API_KEY", "sdk")
    assert from_environment().api_key == "sdk"


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_variable_is_not_set(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """As .env files and CI have them."""
    monkeypatch.setenv("LINQ_API_V3_API_KEY", blank)
    assert from_environment().api_key is None
    monkeypatch.setenv("LINQ_API_KEY", "docs")
    assert from_environment().api_key == "docs"


def test_the_base_comes_from_the_sdks_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty is not set."""
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", "")
    assert from_environment().base_url is None
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", "http://localhost/v3/")
    assert Credentials("k").or_else(from_environment()).checked().base_url == "http://localhost"


def test_given_wins_over_lent_wins_over_the_environment() -> None:
    """Field by field: a key of one's own may go with the client's base."""
    given, lent = Credentials("given"), Credentials("lent", "http://lent", {"X": "lent"})
    environment = Credentials("env", "http://env")
    known = given.or_else(lent).or_else(environment)
    assert (known.api_key, known.base_url, known.headers) == ("given", "http://lent", {"X": "lent"})


def test_without_a_base_it_is_the_public_one() -> None:
    """A key is all that a bot must give."""
    assert Credentials("k").checked().base_url == "https://api.linqapp.com/api/partner"


def test_no_key_names_both_variables() -> None:
    """The message holds the cure."""
    with pytest.raises(ConfigurationError, match=r"LINQ_API_V3_API_KEY.*LINQ_API_KEY") as caught:
        Credentials().checked()
    assert "LINQ_API_TOKEN" not in str(caught.value)


def test_no_key_names_the_variable_that_was_set_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """LINQ_API_TOKEN is what other tools call it; its value is not told."""
    monkeypatch.setenv("LINQ_API_TOKEN", "very-secret")
    with pytest.raises(ConfigurationError, match="LINQ_API_TOKEN is set") as caught:
        Credentials().checked()
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize("key", [" ", "\n", "\t "])
def test_a_blank_key_is_no_key(key: str) -> None:
    """As a .env file may have it, given as api_key=."""
    with pytest.raises(ConfigurationError, match="LINQ_API_V3_API_KEY"):
        Credentials(key).checked()


def test_white_space_around_a_key_is_no_part_of_it() -> None:
    """.env files leave it there."""
    assert Credentials(" key\r\n").checked().api_key == "key"


@pytest.mark.parametrize("key", ["clé-secrète", "two words", "a\nb", "a\x00b", "a\u2028k", "\u200bkey"])
def test_a_key_that_no_header_can_carry_is_told_without_the_key(key: str) -> None:
    """An exception in the middle of a request would be worse, and would show it."""
    with pytest.raises(ConfigurationError, match="API key") as caught:
        Credentials(key).checked()
    assert key not in str(caught.value)


def test_a_bad_base_in_the_environment_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No caller gave it, so no caller's ValueError."""
    monkeypatch.setenv("LINQ_API_V3_BASE_URL", "api.example")
    with pytest.raises(ConfigurationError, match="LINQ_API_V3_BASE_URL must be"):
        Credentials("k").or_else(from_environment()).checked()


def test_the_key_and_the_headers_are_never_in_a_repr() -> None:
    """Headers may hold keys too."""
    credentials = Credentials("very-secret", "http://x", {"X-Key": "also-secret"})
    assert repr(credentials) == repr(credentials.checked()) == "Credentials(base_url='http://x')"
    assert "secret" not in f"{credentials} {credentials!r} {[credentials]}"


@pytest.mark.parametrize("value", ["0", "false", "FALSE", "no", "off", " 0 "])
def test_the_environment_can_switch_it_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """In every common spelling."""
    monkeypatch.setenv("LINQ_TYPING_ENABLED", value)
    assert not enabled_by_environment()


@pytest.mark.parametrize("value", [None, "", "1", "true", "yes", "on"])
def test_otherwise_it_is_on(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """On is the default, set or not."""
    if value is not None:
        monkeypatch.setenv("LINQ_TYPING_ENABLED", value)
    assert enabled_by_environment()


# -- What ``help`` and editors show


async def _hook_async(event: object) -> None: ...


def _parameters(function: object) -> dict[str, str]:
    return {p.name: repr(p.default) for p in inspect.signature(function).parameters.values()}  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [linq_typing.typing_while, TypingManager(enabled=False).typing_while])
def test_typing_while_shows_its_options(function: object) -> None:
    """By name; a default that is the manager's says so."""
    assert _parameters(function) == {
        "chat_id": "None",
        "chat_id_from": "'chat_id'",
        **dict.fromkeys(OPTION_NAMES, "<the manager's>"),
    }


def test_configure_shows_the_settings_of_the_manager_and_their_defaults() -> None:
    """They stand in one place."""
    shown = _parameters(linq_typing.configure)
    assert shown == _parameters(TypingManager)
    assert {name: shown[name] for name in OPTION_NAMES} == {n: repr(v) for n, v in asdict(SessionOptions()).items()}


def test_what_checkers_know_of_the_settings_is_complete() -> None:
    assert set(GivenOptions.__annotations__) == set(OPTION_NAMES)
    assert set(ManagerSettings.__annotations__) == set(_parameters(TypingManager))


@pytest.mark.parametrize("hooks", [5, [print, 5], "text", [_hook_async]])
def test_a_hook_that_can_not_be_called_is_a_type_error(hooks: Any) -> None:
    with pytest.raises(TypeError, match="on_event"):
        TypingManager(enabled=False, on_event=hooks)
