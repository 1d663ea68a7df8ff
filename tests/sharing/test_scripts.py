"""The scripts on real servers: each rule, and that their Python twin, with which the walks are made, is one."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from linq_typing._core.member import Call

from .servers import Server
from .twin import MARKS, Twin

redis = pytest.importorskip("redis", reason="redis is not installed")

LUA = {name: Call(name, (), ()) for name in ("exchange", "heartbeat", "take_over")}
KEYS = ["{t}:members", "{t}:held", "{t}:news"]
CALLS = int(os.environ.get("SHARING_CALLS", "1500"))
MINUTE = 60_000
LEASE_FOR, APPLIES_FOR = 75_000, 105_000  #: longer than the real ones: no test is held up for so long


class Lab:
    """Runs scripts; keeps the number of each member's last call."""

    def __init__(self, client: Any) -> None:
        from linq_typing.redis import SCRIPTS

        self.client = client
        self.scripts = {name: client.register_script(text) for name, text in SCRIPTS.items()}
        self.numbers: dict[str, int] = {}

    def run(self, script: str, *args: Any, chat: str = "") -> Any:
        keys = [f"{{t}}:chat:{chat}", *KEYS] if script == "exchange" else KEYS
        return self.scripts[script](keys=keys, args=args)

    def now(self) -> int:
        seconds, micros = self.client.time()
        return int(seconds * 1000 + micros // 1000)

    def join(self, *members: str, before: str = "") -> Any:
        for member in members:
            reply = self.run("heartbeat", member, "join", before, 3000, MINUTE, 1000)
        return reply

    def stay(self, member: str, silence: int = 3000, limit: int = 1000) -> Any:
        return self.run("heartbeat", member, "stay", "", silence, MINUTE, limit)

    def take_over(self, me: str, dead: str, limit: int = 100) -> Any:
        score = self.client.zscore(KEYS[0], dead)
        return self.run("take_over", me, dead, -5 if score is None else int(score), limit)

    def die(self, member: str) -> None:
        self.client.zadd(KEYS[0], {member: -1})

    def exchange(
        self, me: str, *, since: Any = "", ask: str = "", lease: Any = "", chat: str = "c", **more: Any
    ) -> Reply:
        """``more``: the marks; n, interval, sent, message, ttl."""
        n = self.numbers[me] = more.pop("n", self.numbers.get(me, 0) + 1)
        told = [more.pop(name, 0) for name in MARKS]
        given = {"interval": MINUTE, "sent": ("", ""), "message": "", "ttl": MINUTE, "ids": "", "webhook": "", **more}
        interval, sent, message, ttl, *ids = given.values()
        args = (me, n, chat, since, ask, interval, lease, LEASE_FOR, APPLIES_FOR, ttl, *sent, message, *ids, *told)
        return Reply(self.run("exchange", *args, chat=chat), n)


class Reply:
    """A reply to an exchange, with names."""

    def __init__(self, raw: list[Any], n: int) -> None:
        self.raw, self.n = raw, n
        self.verdict, self.now = raw[:2]
        if len(raw) > 2:
            self.wait, self.others, self.held, self.message = raw[2:6]
            self.marks = dict(zip(MARKS, raw[6:], strict=True))


@pytest.fixture
def lab(shared_server: Server) -> Iterator[Lab]:
    client = redis.Redis.from_url(shared_server.url, decode_responses=True)
    client.flushall()
    yield Lab(client)
    client.close()


# -- Who may call


def test_only_members_are_heard(lab: Lab) -> None:
    """One that was buried or forgotten is told so, and changes nothing."""
    assert lab.exchange("a", since=1, ask="start").verdict == "unknown"
    lab.join("a")
    lab.die("a")
    assert lab.exchange("a", since=1, ask="start").verdict == "unknown"
    assert lab.client.keys("*chat*") == []


def test_a_call_that_comes_late_is_not_carried_out(lab: Lab) -> None:
    """It was given up; a later one has been heard since."""
    lab.join("a", "b")
    lab.exchange("a", since=lab.now())
    late = lab.exchange("a")
    assert lab.exchange("a", since=lab.now(), n=late.n).verdict == "stale"
    assert lab.exchange("b", since=1).others == 0


# -- The marks


def test_the_later_mark_wins(lab: Lab) -> None:
    """In whatever order they are told."""
    lab.join("a", "b")
    lab.exchange("a", applies=5, cleared=7, started=9, stopped=1, settles=2, undone=3)
    reply = lab.exchange("b", applies=6, cleared=6, started=8, stopped=2, settles=1, undone=4)
    assert reply.marks == {"applies": 6, "cleared": 7, "started": 9, "stopped": 2, "settles": 2, "undone": 4}


def test_the_others_get_news_of_a_stop_or_a_message(lab: Lab) -> None:
    """Those that want the indicator; not of starts, nor of differences between clocks. Fetched once."""
    lab.join("a", "b", "c")
    now = lab.now()
    lab.exchange("b", since=now)
    lab.exchange("a", applies=now, started=now)
    assert lab.stay("b")[3] == []
    for mark in ("cleared", "stopped", "settles"):
        lab.exchange("a", **{mark: now})
        assert lab.stay("b")[3] == ["c"]
        lab.exchange("a", **{mark: now + 40})
        assert lab.stay("b")[3] == []
        assert lab.stay("c")[3] == lab.stay("a")[3] == []


# -- The lease


def test_one_lease_at_a_time(lab: Lab) -> None:
    """The others are told when to ask again."""
    lab.join("a", "b")
    now = lab.now()
    first = lab.exchange("a", since=now, ask="start")
    second = lab.exchange("b", since=now, ask="start")
    assert (first.verdict, first.held) == ("go", 1)
    assert (second.verdict, second.wait, second.others) == ("busy", 500, 1)


def test_a_lease_lasts_while_its_holder_names_it(lab: Lab) -> None:
    """Any call of its that does not ends it: also where the one that was meant to was lost."""
    lab.join("a", "b")
    now = lab.now()
    granted = lab.exchange("a", since=now, ask="start")
    lab.exchange("a", since=now, lease=granted.n)
    assert lab.exchange("b", since=now, ask="start").verdict == "busy"
    lab.exchange("a", since=now)
    assert lab.exchange("b", since=now, ask="start").verdict == "go"


def test_a_lease_ends_by_itself(lab: Lab) -> None:
    """What was sent under it may take effect later; a start then counts as a debt, and nothing is confirmed."""
    lab.join("a", "b")
    now = lab.now()
    lab.exchange("a", sent=(now - LEASE_FOR - 100, "start"))
    reply = lab.exchange("b", since=now, ask="start")
    assert reply.verdict == "go"
    assert reply.marks["applies"] == now - LEASE_FOR - 100 + APPLIES_FOR
    assert reply.marks["stopped"] >= now


def test_what_a_dead_stop_undoes_is_repeated(lab: Lab) -> None:
    """A stop under a lease that ran out may still follow the next start."""
    lab.join("a", "b")
    now = lab.now()
    lab.exchange("a", sent=(now - LEASE_FOR - 100, "stop"))
    reply = lab.exchange("b", since=now, ask="start", started=now - 50, undone=now - 20)
    assert reply.marks["undone"] == now - LEASE_FOR - 100 + APPLIES_FOR


def test_death_alone_does_not_end_a_lease(lab: Lab) -> None:
    """The request may be on the wire. But its debt is noted at once, so that somebody answers for the chat."""
    lab.join("a", "b")
    taken = lab.exchange("a", since=lab.now(), ask="start").now
    lab.die("a")
    reply = lab.exchange("b", ask="stop")
    assert (reply.verdict, reply.held) == ("busy", 1)
    assert reply.marks["applies"] == taken + APPLIES_FOR


def test_a_request_sent_alone_becomes_the_lease(lab: Lab) -> None:
    """If nobody has it; else it counts as one whose end nobody tells."""
    lab.join("a", "b")
    now = lab.now()
    assert lab.exchange("a", since=now, sent=(now, "start")).held == 1
    reply = lab.exchange("b", since=now, sent=(now, "start"), ask="start")
    assert (reply.verdict, reply.marks["applies"]) == ("busy", now + APPLIES_FOR)


# -- Starts


def test_no_start_while_it_is_confirmed(lab: Lab) -> None:
    """Until the refresh is due; a stop or a message ends it, save for a difference between clocks."""
    lab.join("a", "b")
    now = lab.now()
    lab.exchange("a", applies=now, started=now)
    assert lab.exchange("b", since=now, ask="start").verdict == "no"
    assert lab.exchange("b", since=now, ask="start", stopped=now + 40).verdict == "no"
    assert lab.exchange("b", since=now, ask="start", interval=0).verdict == "go"
    assert lab.exchange("b", since=now, ask="start", stopped=now + 41).verdict == "go"


def test_no_start_before_a_message_has_settled(lab: Lab) -> None:
    """Whoever sent it."""
    lab.join("a", "b")
    now = lab.now()
    lab.exchange("a", settles=now + MINUTE)
    assert lab.exchange("b", since=now, ask="start").verdict == "no"


def test_a_start_is_repeated_when_a_stop_may_have_undone_it(lab: Lab) -> None:
    """The stop was sent before and its answer was lost."""
    lab.join("a", "b")
    now = lab.now()
    assert lab.exchange("a", since=now, ask="start", started=now - 4000, undone=now + 50_000).verdict == "no"
    assert lab.exchange("a", since=now, ask="start", undone=now - 1000, chat="d", started=now - 4000).verdict == "go"


def test_no_start_for_who_does_not_want_it(lab: Lab) -> None:
    """It is asked for by mistake."""
    lab.join("a")
    assert lab.exchange("a", ask="start").verdict == "no"


# -- Stops


def test_no_stop_while_another_wants_it(lab: Lab) -> None:
    """And the one that wants it answers for the chat, alone."""
    lab.join("a", "b")
    now = lab.now()
    lab.exchange("b", since=now)
    reply = lab.exchange("a", ask="stop", applies=now)
    assert (reply.verdict, reply.others, reply.held) == ("no", 1, 0)
    assert lab.exchange("b", ask="stop").verdict == "go"


def test_no_stop_when_nothing_is_up(lab: Lab) -> None:
    """All is cleared, or has faded."""
    lab.join("a")
    now = lab.now()
    assert lab.exchange("a", ask="stop").verdict == "no"
    assert lab.exchange("a", ask="stop", applies=now - 90_001).verdict == "no"
    assert lab.exchange("a", ask="stop", applies=now, cleared=now).verdict == "no"
    assert lab.exchange("a", ask="stop", applies=now + 1).verdict == "go"


# -- The dead


def test_the_dead_want_nothing(lab: Lab) -> None:
    """But what they wanted may be up, although they told of no start."""
    lab.join("a", "b")
    lab.exchange("b", since=lab.now())
    lab.die("b")
    reply = lab.exchange("a", ask="stop")
    assert (reply.verdict, reply.others) == ("go", 0)
    assert set(lab.client.hkeys("{t}:chat:c")) == {"n:a", "lease", "applies"}


def test_a_heartbeat_tells_who_is_silent(lab: Lab) -> None:
    """With the moment of its last heartbeat."""
    lab.join("a", "b")
    now = lab.now()
    lab.client.zadd(KEYS[0], {"b": now - 4000})
    assert lab.stay("a")[4] == ["b", str(now - 4000)]
    assert lab.stay("a", silence=MINUTE)[4] == []


def test_a_heartbeat_of_the_forgotten_is_not_counted(lab: Lab) -> None:
    """It has to join again."""
    assert lab.stay("a")[1] == 0
    assert lab.client.zcard(KEYS[0]) == 0
    assert lab.join("a")[1] == 1


def test_a_new_life_ends_the_one_before(lab: Lab) -> None:
    """It is to be taken over at once."""
    lab.join("old")
    lab.exchange("old", since=lab.now())
    assert lab.join("new", before="old")[4] == ["old", "-1"]
    assert lab.take_over("new", "old") == ["c"]
    assert lab.client.zrange(KEYS[0], 0, -1) == ["new"]


def test_taking_over_moves_what_is_held(lab: Lab) -> None:
    """In portions; nobody else gets them, too; at the end the dead one is gone."""
    lab.join("a", "b", "dead")
    for chat in "cde":
        lab.exchange("dead", since=lab.now(), chat=chat)
    assert lab.take_over("a", "dead", limit=2) == ["c", "d"]
    assert lab.take_over("b", "dead", limit=2) == ["e"]
    assert lab.take_over("a", "dead") == []
    assert lab.client.zrange(KEYS[1], 0, -1) == ["a c", "a d", "b e"]
    assert lab.client.zrange(KEYS[0], 0, -1) == ["a", "b"]
    assert lab.stay("a")[2] == 2


def test_who_has_shown_up_since_is_not_taken_over(lab: Lab) -> None:
    """Nor does one that is dead itself take over."""
    lab.join("a", "b")
    now = int(lab.client.zscore(KEYS[0], "b"))
    assert lab.run("take_over", "a", "b", now - 1, 100) == []
    assert lab.client.zscore(KEYS[0], "b") == now
    lab.die("a")
    assert lab.run("take_over", "a", "b", now, 100) == []
    assert lab.run("take_over", "x", "b", now, 100) == []
    assert lab.client.zscore(KEYS[0], "b") == now


def test_leaving(lab: Lab) -> None:
    """Who answers for nothing is gone; what another leaves behind is taken over without delay."""
    lab.join("a", "b", "c")
    lab.exchange("b", since=lab.now())
    lab.exchange("c", since=lab.now())
    lab.exchange("a", settles=lab.now())
    lab.exchange("c")
    for member in "cb":
        assert lab.client.zcard(KEYS[2]) == (2 if member == "c" else 1)
        lab.run("heartbeat", member, "leave", "", 3000, MINUTE, 1000)
    assert lab.stay("a")[4] == ["b", "-1"]
    assert lab.take_over("a", "b") == ["c"]
    assert lab.client.zrange(KEYS[2], 0, -1) == []


# -- Messages


def test_a_message_of_no_session_here_is_put_down_to_the_oldest(lab: Lab) -> None:
    """It is told once, with the next call, and the heartbeat says that there is something."""
    lab.join("a", "b", "c")
    now = lab.now()
    lab.exchange("c", since=now)
    lab.exchange("b", since=now - 5)
    lab.exchange("a", message=now + 7)
    assert lab.stay("b")[3] == ["c"]
    assert lab.exchange("c", since=now).message == ""
    assert lab.exchange("b", since=now - 5).message == str(now + 7)
    assert lab.exchange("b", since=now - 5).message == ""


# -- What it leaves behind


def test_everything_expires(lab: Lab) -> None:
    """Chats after their TTL, the rest after that of the heartbeats."""
    lab.join("a", "b")
    lab.exchange("b", since=1)
    lab.exchange("a", since=1, settles=1000)
    lab.stay("a")
    ttl = {key: lab.client.pttl(key) for key in lab.client.keys("*")}
    assert set(ttl) == {"{t}:chat:c", *KEYS}
    assert all(0 < each <= MINUTE for each in ttl.values())


# -- The twin


@pytest.mark.parametrize("seed", range(3))
def test_the_twin_gives_the_same_replies(lab: Lab, seed: int) -> None:
    """To random calls, whose times lie around the server's now; and it remembers the same."""
    chance = random.Random(seed)
    clock = [0]
    twin = Twin(lambda: clock[0])
    for number in range(CALLS):
        call = random_call(chance, twin, number, lab.now())
        exchange = call.script == "exchange"
        reply = lab.run(call.script, *call.args, chat=call.args[2] if exchange else "")
        if call.script != "take_over":
            clock[0] = reply[1 if exchange else 0]
        assert twin.run(call) == reply, call
        assert {tuple(entry.split()) for entry in lab.client.zrange(KEYS[1], 0, -1)} == twin.held
        assert {tuple(entry.split()) for entry in lab.client.zrange(KEYS[2], 0, -1)} == twin.news


def random_call(chance: random.Random, twin: Twin, number: int, now: int) -> Call:
    members = ["a", "b", "c", "d"]
    me, kind = chance.choice(members), chance.random()
    if kind < 0.06:
        return Call("heartbeat", (), (me, "join", chance.choice(["", *members]), 0, MINUTE, 1000))
    if kind < 0.12:
        how, silence = chance.choice(["stay"] * 5 + ["leave"]), chance.choice([-1, 10, 3000])
        return Call("heartbeat", (), (me, how, "", silence, MINUTE, chance.choice([1, 1000])))
    if kind < 0.2:
        score = twin.members.get(dead := chance.choice(members), 0)
        return Call("take_over", (), (me, dead, str(score), chance.choice([1, 100])))
    near = (0, 0, 0, now, now - 30, now + 30, now - 2000, now + 3000, now - 89_990, now - 90_010, now - 200_000)
    lease = twin.chats.get("c", {}).get("lease")
    args = (
        me,
        number - chance.choice([0, 0, 0, 0, 0, 3]),
        chance.choice("ccd"),
        chance.choice(["", now, now - 5]),
        chance.choice(["", "start", "stop"]),
        chance.choice([0, 1000, MINUTE]),
        lease[1] if lease and chance.random() < 0.5 else "",
        chance.choice([0, 5, LEASE_FOR]),
        chance.choice([0, APPLIES_FOR]),
        MINUTE,
        *chance.choice([("", "")] * 6 + [(now, "start"), (now, "stop"), (now - 20_000, "start")]),
        chance.choice(["", "", "", now]),
        " ".join(chance.sample("vwxyz", chance.choice([0, 0, 0, 1, 2]))),
        chance.choice(["", "", f"{chance.choice('vwxyz')} {now} {chance.choice(['sent', 'delivered', 'failed'])}"]),
        *(chance.choice(near) for _ in MARKS),
    )
    return Call("exchange", (), args)
