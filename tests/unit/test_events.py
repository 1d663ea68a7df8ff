"""Events, and what of them is logged at which level."""

import dataclasses
import logging

import pytest

from linq_typing.errors import APIConnectionError, APIStatusError, APITimeoutError, LinqTypingError
from linq_typing.events import _REMEMBERED, EventKind, Failing, LoggingHook, TypingEvent, is_bad_key

from .kit import CHAT, OTHER_CHAT

DOWN = APIConnectionError("ConnectError: refused")
BAD_KEY = APIStatusError("Unauthorized", status_code=401)
DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR


class Log:
    """A hook, and the levels at which it has logged."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(DEBUG, logger="linq_typing")
        self.hook = LoggingHook()
        self.caplog = caplog

    def __call__(
        self, kind: EventKind, error: Exception | None = None, chat_id: str = CHAT, action: str = "start"
    ) -> int:
        """The level at which this event is logged."""
        self.caplog.clear()
        self.hook(TypingEvent(kind, chat_id, action, error))  # type: ignore[arg-type]
        [record] = self.caplog.records
        assert record.name == "linq_typing"
        assert (chat_id in record.getMessage()) is (kind != "suspended")  # that is about all chats
        return record.levelno


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def test_an_event_is_frozen_and_says_little_by_default() -> None:
    """A hook can't change what the next one sees."""
    event = TypingEvent("started", CHAT)
    assert (event.action, event.error, event.attempt, event.elapsed) == (None, None, 0, 0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.kind = "stopped"  # type: ignore[misc]


def test_the_first_failure_is_a_warning_and_repeats_are_debug(log: Log) -> None:
    """Whether it failed for now or was refused for good."""
    assert [log("failed", DOWN), log("failed", DOWN), log("refused", DOWN)] == [WARNING, DEBUG, DEBUG]


def test_each_chat_has_its_own_first_failure(log: Log) -> None:
    """One chat's trouble hides no other's."""
    assert [log("failed", DOWN), log("refused", DOWN, OTHER_CHAT)] == [WARNING, WARNING]


@pytest.mark.parametrize("success", ["started", "refreshed", "stopped"])
def test_after_a_success_a_failure_is_news_again(log: Log, success: EventKind) -> None:
    """The memory of a failure ends with the next accepted request."""
    assert [log("failed", DOWN), log(success), log("failed", DOWN)] == [WARNING, DEBUG, WARNING]


def test_a_recovery_is_info(log: Log) -> None:
    """An operator who read the warning wants to read its end."""
    assert log("recovered") == INFO


def test_a_bad_key_is_one_error_and_not_one_per_chat(log: Log) -> None:
    """The failures of the chats are DEBUG; the suspension says it for all."""
    assert [log("failed", BAD_KEY), log("suspended", BAD_KEY)] == [DEBUG, ERROR]
    assert [log("failed", BAD_KEY, OTHER_CHAT), log("refused", BAD_KEY, OTHER_CHAT)] == [DEBUG, DEBUG]


def test_a_bad_key_does_not_use_up_a_chats_warning(log: Log) -> None:
    """What fails next for another reason is this chat's first failure."""
    assert [log("failed", BAD_KEY), log("failed", DOWN)] == [DEBUG, WARNING]


def test_an_api_that_is_down_is_a_warning(log: Log) -> None:
    """Suspension for failures is no ERROR: it ends by itself."""
    assert log("suspended", DOWN) == WARNING


def test_an_expired_session_is_a_warning(log: Log) -> None:
    """A session that lasts too long is probably a bug of the bot's."""
    assert log("expired") == WARNING


def test_congestion_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody has to raise a setting."""
    LoggingHook()(TypingEvent("congested", "", error=LinqTypingError("raise it")))
    assert [record.levelno for record in caplog.records] == [WARNING]
    assert caplog.messages == ["typing indicators may disappear for a while: raise it"]


@pytest.mark.parametrize("kind", ["started", "refreshed", "stopped", "message_sent"])
def test_daily_business_is_debug(log: Log, kind: EventKind) -> None:
    """Nothing to see at INFO while all is well."""
    assert log(kind) == DEBUG


def test_the_line_says_the_attempt_and_the_error(caplog: pytest.LogCaptureFixture) -> None:
    """What an operator needs is in the line."""
    LoggingHook()(TypingEvent("failed", CHAT, "stop", APITimeoutError("no answer within 5 s"), attempt=3, elapsed=5.0))
    assert caplog.messages == [f"typing stop failed in chat {CHAT}, attempt 3: no answer within 5 s"]


def test_a_stop_given_up_is_a_warning_and_a_start_is_not(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    """A ghost is likely, even where the failures before were DEBUG; a start has another chance."""
    assert log("failed", DOWN, action="stop") == WARNING
    assert log("gave_up", DOWN, action="stop") == WARNING
    assert caplog.messages == [f"gave up the typing stop in chat {CHAT}: ConnectError: refused"]
    assert log("gave_up", DOWN, action="start") == DEBUG


def test_the_memory_of_failing_chats_is_bounded() -> None:
    """A crowd of failing chats costs no more than so much; the oldest is forgotten first."""
    failing = Failing()
    for number in range(_REMEMBERED + 5):
        assert failing.add(str(number))
    assert not failing.add("5")
    assert failing.discard("5")
    assert not failing.discard("4")


def test_a_disabled_level_costs_no_formatting(caplog: pytest.LogCaptureFixture) -> None:
    """At WARNING, repeats are not even built."""

    class LoudError(APIConnectionError):
        def __str__(self) -> str:
            raise AssertionError("formatted")

    caplog.set_level(WARNING, logger="linq_typing")
    LoggingHook()(TypingEvent("started", CHAT, "start", LoudError("x")))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [(BAD_KEY, True), (APIStatusError("", status_code=403), False), (DOWN, False), (None, False)],
)
def test_only_a_401_is_a_bad_key(error: APIStatusError | None, expected: bool) -> None:
    """403 is one chat's trouble."""
    assert is_bad_key(error) is expected
