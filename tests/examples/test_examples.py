"""Every example as its users run it: `python examples/....py`, against the sandbox on a real socket."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from linq_typing.sandbox import Sandbox, Timeline
from patience import PATIENCE

from .kit import (
    EXAMPLES,
    SECRET,
    Bot,
    Example,
    assert_shown_until_the_message,
    check_reply_to_webhook,
    payload,
    settled,
    shape,
)


def run(name: str, linq: Sandbox, chat: str, hold: Path, *, answers: int = 1) -> Timeline:
    """Run an example to its end; nothing may be left on any screen, now or once its messages have landed."""
    with Example(name, linq, chat, hold) as example:
        for _ in range(answers):
            example.answer_once_it_shows()
        example.finish()
    return settled(linq, chat)


@pytest.mark.parametrize("name", ["with_block.py", "decorated_bot.py", "lambda_handler.py"])
def test_one_start_one_message_no_stop(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    timeline = run(name, linq, chat, hold)
    assert shape(timeline) == "start send"
    assert_shown_until_the_message(timeline)
    assert timeline.messages[0].text.startswith("You said: ")


@pytest.mark.parametrize("name", ["with_block.py", "decorated_bot.py"])
def test_a_reply_that_fails_leaves_no_ghost(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    linq.fail("send", status=400)
    with Example(name, linq, chat, hold) as example:
        example.answer_once_it_shows()
        _, err = example.process.communicate(timeout=PATIENCE)
    assert "BadRequestError" in err
    assert shape(settled(linq, chat)) in ("start send stop", "start stop send")


def test_streaming_reply_shows_it_again_for_the_next_paragraph(linq: Sandbox, chat: str, hold: Path) -> None:
    timeline = run("streaming_reply.py", linq, chat, hold, answers=2)
    assert shape(timeline) == "start send start send"
    assert [message.text for message in timeline.messages] == ["Thought 1 about: the sea", "Thought 2 about: the sea"]
    assert [showing.ended_by for showing in timeline.showings] == ["message", "message"]
    assert timeline.starts[1].received_at >= timeline.messages[0].lands_at


def test_approval_hides_the_indicator_while_a_person_decides(linq: Sandbox, chat: str, hold: Path) -> None:
    with Example("approval.py", linq, chat, hold) as example:
        for answer in ("n", "y"):
            example.answer_once_it_shows()
            assert linq.wait_until(lambda: not linq.visible(chat))
            example.type(answer)
        asked = example.finish()
    assert asked.count("Send") == 2
    timeline = settled(linq, chat)
    assert shape(timeline).startswith("start stop start stop")
    assert len(timeline.messages) == 1
    assert timeline.messages[0].text == "You said: I want my money back (in other words)"


@pytest.mark.parametrize("name", ["webhook_bot.py", "flask_bot.py"])
def test_webhook_is_answered_at_once_and_the_reply_follows(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    with Bot(name, linq, chat, hold) as bot:
        check_reply_to_webhook(bot, linq, chat)


@pytest.mark.parametrize("name", ["webhook_bot.py", "flask_bot.py"])
def test_termination_finishes_the_reply_and_leaves_no_ghost(name: str, linq: Sandbox, chat: str, hold: Path) -> None:
    linq.fail("send", status=400)  # so that a stop is needed
    with Bot(name, linq, chat, hold) as bot:
        assert bot.deliver(payload("2026-02-03", chat, "Hello bot")) == 204
        assert linq.wait_until(lambda: linq.visible(chat))
        bot.process.send_signal(signal.SIGTERM)
        bot.answer_once_it_shows()
        bot.process.communicate(timeout=PATIENCE)
    assert shape(settled(linq, chat)) in ("start send stop", "start stop send")


def test_webhook_bot_reads_both_payload_versions_and_refuses_a_bad_signature(
    linq: Sandbox, chat: str, hold: Path
) -> None:
    chats = {"2025-01-01": chat, "2026-02-03": linq.chat()}
    with Bot("webhook_bot.py", linq, chat, hold) as bot:
        forged = payload("2026-02-03", chat, "Pay me")
        assert bot.deliver(forged, **{"webhook-signature": "v1,bm9uc2Vuc2U="}) == 401
        assert bot.deliver({**forged, "event_type": "message.read"}) == 204
        for version, each in chats.items():
            assert bot.deliver(payload(version, each, f"Hello from {version}")) == 204
        assert linq.wait_until(lambda: all(linq.visible(each) for each in chats.values()))
        for number in (1, 2):  # in any order
            hold.unlink()
            assert linq.wait_until(
                lambda number=number: sum(len(linq.messages(each)) for each in chats.values()) == number
            )
        bot.terminate()
    for version, each in chats.items():
        timeline = settled(linq, each)
        assert shape(timeline) == "start send"
        assert timeline.messages[0].text == f"You said: Hello from {version}"


def test_webhook_bot_shows_no_ghost_of_a_message_that_failed(linq: Sandbox, chat: str, hold: Path) -> None:
    """The API accepts the reply; the webhook tells that it was never sent."""
    linq.fail_messages()
    with Bot("webhook_bot.py", linq, chat, hold, stop_delay=0.5) as bot:
        linq.set_webhook(bot.url, secret=SECRET)
        linq.write(chat)
        bot.answer_once_it_shows()
        assert linq.wait_until(lambda: "stop" in shape(linq.timeline(chat)))
        bot.terminate()
    assert shape(settled(linq, chat)) == "start send stop"


def test_colleague_who_answers_by_hand_ends_the_indicator_and_the_bot_says_nothing(
    linq: Sandbox, chat: str, hold: Path
) -> None:
    with Bot("colleague.py", linq, chat, hold) as bot:
        linq.set_webhook(bot.url, secret=SECRET)
        linq.write(chat)
        assert linq.wait_until(lambda: linq.visible(chat))
        linq.send_as_colleague(chat)
        assert linq.wait_until(lambda: shape(linq.timeline(chat)) == "start stop")
        assert not linq.visible(chat)
        hold.unlink()
        assert linq.wait_until(hold.exists)  # the first answer is there
        linq.write(chat, "Thank you. One more question:")
        bot.answer_once_it_shows()
        assert linq.wait_until(lambda: len(linq.messages(chat)) == 4)
        bot.terminate()
    timeline = settled(linq, chat)
    assert shape(timeline) == "start stop start send"
    assert timeline.messages[-1].text == "You said: Thank you. One more question:"


def test_examples_are_short_and_each_is_run_here() -> None:
    here = Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        longest = 90 if path.name == "many_workers.py" else 60  # it starts a server and four processes
        assert len(path.read_text().splitlines()) <= longest, path.name
        run_elsewhere = {"fake_llm.py", "many_workers.py", "metrics.py"}  # by the others, or by tests of their own
        assert path.name in run_elsewhere or f'"{path.name}"' in here, f"{path.name} is not run by a test"
