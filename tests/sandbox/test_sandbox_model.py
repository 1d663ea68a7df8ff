"""The model: chats, settling, time, and the request log, on a clock that the test moves."""

from __future__ import annotations

import dataclasses
import itertools
import uuid

import pytest

from linq_typing.sandbox import Model
from linq_typing.sandbox._clock import Clock
from linq_typing.sandbox._http import ApiError

from .kit import FakeClock


def test_start_send_and_settle_in_one_chat(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    model.start(chat)
    clock += 30
    message, effect = model.send(chat, "done")
    assert (effect.change, effect.at, message.lands_at) == ("message", 30, 31)
    assert model.visible(chat)
    clock += 1
    assert not model.visible(chat)
    [showing] = model.timeline(chat).showings
    assert (showing.since, showing.until, showing.ended_by) == (0, 31, "message")


def test_a_timeline_prints_as_text(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    exchange = model.log.arrive("POST", f"/v3/chats/{chat.id}/typing", "start", chat.id)
    model.log.affect(exchange, model.start(chat))
    model.log.end(exchange, "answered", 204)
    clock += 9.5
    model.send(chat, "done")
    clock += 1
    assert str(model.timeline(chat)).splitlines() == [
        f"Chat {chat.id} (iMessage):",
        "   0.0 s  [...]  #1   start  204        the indicator shows",
        "  10.5 s  [   ]  the message arrives: 'done'",
        "  10.5 s  [   ]  now: nothing shows",
    ]


def test_a_timeline_has_a_ghost_if_nothing_has_ended_its_last_showing(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    assert model.timeline(chat).ghost is None
    model.start(chat)
    assert model.timeline(chat).ghost == model.timeline(chat).showings[0]
    clock += 85
    assert model.timeline(chat).ghost == model.timeline(chat).showings[0], "although its request is not in the log"
    stop = model.log.arrive("DELETE", "/typing", "stop", chat.id)
    assert model.timeline(chat).ghost is None, "the bot has come back for it"
    model.log.end(stop, "answered", 204)
    model.start(chat)
    model.stop(chat)
    assert model.timeline(chat).ghost is None


def test_settle_may_be_given_for_each_message(clock: FakeClock) -> None:
    model = Model(clock=clock, settle=[2.6, 0.2])
    chat = model.add_chat()
    assert [model.send(chat)[0].lands_at for _ in range(3)] == [2.6, 0.2, 1.0]


def test_settle_may_be_a_function(clock: FakeClock) -> None:
    model = Model(clock=clock, settle=itertools.count(3).__next__)
    chat = model.add_chat()
    assert [model.send(chat)[0].lands_at for _ in range(2)] == [3, 4]


def test_negative_settle_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"settle.*-1"):
        Model(settle=-1)


def test_sms_and_rcs_show_nothing_and_say_why(model: Model) -> None:
    for service in ("SMS", "RCS"):
        chat = model.add_chat(service=service, active=True)
        effect = model.start(chat)
        assert (effect.change, effect.note) == ("nothing", f"{service} shows no indicator")
        assert not model.visible(chat)


def test_group_refuses_typing_only_when_told_to(model: Model) -> None:
    model.start(model.add_chat(group=True))
    strict = model.add_chat(group=True, typing_allowed=False)
    for request in (model.start, model.stop):
        with pytest.raises(ApiError) as refusal:
            request(strict)
        assert (refusal.value.status, refusal.value.code) == (403, 2005)


def test_showing_lists_the_chats_that_show_now(model: Model, clock: FakeClock) -> None:
    one, two, _ = (model.add_chat(active=True) for _ in range(3))
    model.start(one)
    clock += 50
    model.start(two)
    assert model.showing() == (one.id, two.id)
    clock += 40
    assert model.showing() == (two.id,)


def test_idempotency_key_sends_once(model: Model) -> None:
    chat = model.add_chat()
    first, _ = model.send(chat, "hi", key="k")
    again, effect = model.send(chat, "hi", key="k")
    other, _ = model.send(chat, "hi", key="l")
    assert again is first
    assert effect.change == "nothing"
    assert other is not first
    assert len(chat.messages) == 2


def test_unknown_id_is_404_and_malformed_400(model: Model) -> None:
    for find, code in ((model.chat, 2001), (model.message, 2002)):
        for wrong, status, expected in ((str(uuid.uuid4()), 404, code), ("no-uuid", 400, 1005)):
            with pytest.raises(ApiError) as refusal:
                find(wrong)
            assert (refusal.value.status, refusal.value.code) == (status, expected)


def test_chat_id_is_found_in_capitals(model: Model) -> None:
    chat = model.add_chat()
    assert model.chat(chat.id.upper()) is chat


def test_chat_between_needs_exactly_these_people(model: Model) -> None:
    chat = model.add_chat(["+1", "+2"])
    assert chat.is_group
    assert model.chat_between(["+2", "+1"]) is chat
    assert model.chat_between(["+1"]) is None
    assert model.chat_between(["+1", "+2"], line="+9") is None


def test_log_knows_what_was_in_flight_together(model: Model, clock: FakeClock) -> None:
    chat, other = model.add_chat(), model.add_chat()
    log = model.log
    first = log.arrive("POST", "/a", "start", chat.id)
    log.arrive("POST", "/x", "start", other.id)
    clock += 1
    second = log.arrive("POST", "/b", "send", chat.id)
    log.end(first, "answered", 204)
    third = log.arrive("DELETE", "/c", "stop", chat.id)
    log.end(second, "dropped")
    timeline = model.timeline(chat)
    assert [r.overlapped for r in timeline.requests] == [(), (first.request.id,), (second.request.id,)]
    assert timeline.max_typing_in_flight == 1
    assert [r.outcome for r in timeline.requests] == ["answered", "dropped", "pending"]
    assert [r.answered_at for r in timeline.requests] == [1, None, None]
    assert third.request.ended_at is None
    fourth = log.arrive("POST", "/d", "start", chat.id)
    for exchange in (third, fourth):
        log.end(exchange, "answered", 204)
    log.arrive("POST", "/e", "start", chat.id)
    assert model.timeline(chat).max_typing_in_flight == 2, "the most there ever were"


def test_only_the_first_end_of_a_request_counts(model: Model, clock: FakeClock) -> None:
    exchange = model.log.arrive("POST", "/a", "start", model.add_chat().id)
    model.log.end(exchange, "abandoned")
    clock += 1
    model.log.end(exchange, "answered", 204)
    [request] = model.log.all()
    assert (request.outcome, request.status, request.ended_at) == ("abandoned", None, 0)


def test_timeline_answers_simple_questions(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    clock += 10
    model.start(chat)
    clock += 20
    model.stop(chat)
    clock += 5
    model.start(chat)
    clock += 7
    timeline = model.timeline(chat)
    assert timeline.visible
    assert timeline.seconds_visible == 27
    assert [timeline.visible_at(t) for t in (9, 10, 29, 30, 35, 42)] == [False, True, True, False, True, True]
    assert timeline.showings[-1].expires_at == 120


def test_records_are_frozen(model: Model) -> None:
    chat = model.add_chat(active=True)
    model.log.arrive("POST", "/a", "start", chat.id)
    model.start(chat)
    model.send(chat)
    timeline = model.timeline(chat)
    for record in (timeline, timeline.requests[0], timeline.showings[0], timeline.messages[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, dataclasses.fields(record)[0].name, None)


def test_reopening_drops_the_indicator_only_while_a_message_is_unread(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    message, _ = model.send(chat)
    model.start(chat)
    assert model.reopen(chat) == (), "it has not landed"
    assert model.visible(chat)
    clock += 1
    model.start(chat)
    clock += 3
    assert model.reopen(chat) == (message,)
    assert not model.visible(chat)
    model.stop(chat)
    model.start(chat)
    clock += 1
    assert model.reopen(chat) == (), "it has been read"
    assert model.visible(chat)
    timeline = model.timeline(chat)
    assert timeline.reopened == (0, 4, 5)
    assert [showing.ended_by for showing in timeline.showings] == ["message", "reopened", None]


def test_reopening_reads_each_message_of_the_line_in_the_order_of_landing(clock: FakeClock) -> None:
    model = Model(clock=clock, settle=[2, 1, 0, 9])
    chat = model.add_chat()
    late, _ = model.send(chat)
    early, _ = model.send(chat)
    colleagues = model.send_as_colleague(chat)
    model.send(chat)
    model.write(chat)
    clock += 2
    assert model.reopen(chat) == (colleagues, early, late)


def test_a_colleague_s_message_settles_and_clears_like_the_bot_s(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat()
    message = model.send_as_colleague(chat, "I'll take over")
    model.start(chat)
    assert (message.from_person, message.from_colleague, message.lands_at) == (False, True, 1)
    clock += 1
    assert not model.visible(chat)
    assert model.timeline(chat).showings[0].ended_by == "message"
    assert "a colleague's message arrives: \"I'll take over\"" in str(model.timeline(chat))


def test_a_message_that_fails_clears_nothing_and_is_never_read(model: Model, clock: FakeClock) -> None:
    chat = model.add_chat(active=True)
    model.start(chat)
    message, effect = model.send(chat, "lost", failure=lambda: 4001)
    assert (effect.change, message.failure_code, message.has_landed(99)) == ("message", 4001, False)
    clock += 2
    assert model.visible(chat)
    assert model.reopen(chat) == ()
    assert "1.0 s  [...]  the message fails: 'lost'" in str(model.timeline(chat))


def test_a_repeated_idempotency_key_uses_up_no_failure(model: Model) -> None:
    chat, asked = model.add_chat(), itertools.count()
    for _ in range(2):
        model.send(chat, key="k", failure=lambda: 4001 if next(asked) == 0 else None)
    assert next(asked) == 1
    assert [message.failure_code for message in chat.messages] == [4001]


def test_a_message_leaves_the_line_shortly_before_it_lands(clock: FakeClock) -> None:
    model = Model(clock=clock, settle=[1, 0])
    chat = model.add_chat()
    assert [model.send(chat)[0].sent_at for _ in range(2)] == [0.7, 0]


def test_clock_runs_scale_times_as_fast_and_does_not_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    real = 100.0
    monkeypatch.setattr("linq_typing.sandbox._clock.time.monotonic", lambda: real)
    clock = Clock(60)
    real += 1
    assert clock() == 60
    clock.scale = 2
    assert (clock(), clock.scale) == (60, 2)
    real += 1
    assert clock() == 62


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf")])
def test_clock_refuses_a_scale_that_is_no_speed(scale: float) -> None:
    with pytest.raises(ValueError, match="time_scale"):
        Clock(scale)
