"""What the server's scripts do, in Python: the same arguments, the same replies. ``test_scripts`` compares the two."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from linq_typing._core.member import Call

MARKS = ("applies", "cleared", "started", "stopped", "settles", "undone")
SHOWN, ASK_AGAIN, GRACE, MOST_IDS = 90_000, 500, 40, 8


class Twin:
    """A server's memory. ``now`` tells its time in milliseconds. ``bugs`` are planted; see :mod:`.mutants`."""

    def __init__(self, now: Callable[[], int], bugs: frozenset[str] = frozenset()) -> None:
        self.now = now
        self.bugs = bugs
        self.flush()

    def flush(self) -> None:
        self.chats: dict[str, dict[str, Any]] = {}
        self.members: dict[str, int] = {}
        self.held: set[tuple[str, str]] = set()
        self.news: set[tuple[str, str]] = set()

    def snapshot(self) -> Any:
        return deepcopy((self.chats, self.members, self.held, self.news))

    def restore(self, snapshot: Any) -> None:
        self.chats, self.members, self.held, self.news = deepcopy(snapshot)

    def run(self, call: Call) -> list[Any]:
        reply: list[Any] = getattr(self, call.script)(*call.args)
        return reply

    def alive(self, member: str) -> bool:
        return self.members.get(member, -1) >= 0

    def exchange(
        self, me: str, n: int, chat: str, since: Any, ask: str, interval: int, lease: Any, lease_for: int,
        applies_for: int, ttl: int, sent_at: Any, sent: str, message: Any, ids: str,
        webhook: str, *told: int
    ) -> list[Any]:  # fmt: skip
        now = self.now()
        if not self.alive(me):
            return ["unknown", now]
        state = self.chats.setdefault(
            chat, {"lease": None, "w": {}, "n": {}, "q": {}, "ids": [], **dict.fromkeys(MARKS, 0)}
        )
        if n <= state["n"].get(me, -1) and "late calls count" not in self.bugs:
            return ["stale", now]
        state["n"][me] = max(n, state["n"].get(me, -1))
        news = message != ""
        for name, moment in zip(MARKS, told, strict=True):
            news = news or (name in ("cleared", "stopped", "settles") and moment > state[name] + GRACE)
            state[name] = max(state[name], moment)

        known = [*reversed(ids.split()), *state["ids"]]
        foreign = 0
        if webhook:
            seen, at, what = webhook.split()
            if what == "failed":
                if seen in known and now < state["started"] + SHOWN:
                    state["applies"] = max(state["applies"], now)
            elif seen not in known:
                known.insert(0, seen)
                foreign, news = int(at), True
                state["stopped"] = max(state["stopped"], now)
        state["ids"] = known[:MOST_IDS]

        def may_apply(at: int, kind: str) -> None:
            name = "applies" if kind == "start" else "undone"
            state[name] = max(state[name], at + applies_for)
            state["stopped"] = max(state["stopped"], now)

        if state["lease"] is not None and state["lease"][0] == me and state["lease"][1] != lease:
            state["lease"] = None
        if sent != "" and state["lease"] is None:
            state["lease"] = (me, n, sent_at, sent)
        elif sent != "":
            may_apply(sent_at, sent)
        if state["lease"] is not None:
            holder, _, taken_at, kind = state["lease"]
            over = now > taken_at + lease_for
            if "a dead lease ends at once" in self.bugs:
                over = over or not self.alive(holder)
            if (over or not self.alive(holder)) and "a dead lease leaves no debt" not in self.bugs:
                may_apply(taken_at, kind)
            if over:
                state["lease"] = None

        for member in list(state["w"]):
            if not self.alive(member) and "the dead still want it" not in self.bugs:
                del state["w"][member]
                if "what the dead wanted is no debt" not in self.bugs:
                    state["applies"] = max(state["applies"], now)
        for gone in ("n", "q"):
            state[gone] = {member: value for member, value in state[gone].items() if self.alive(member)}
        others = {member: joined for member, joined in state["w"].items() if member != me}
        state["w"].pop(me, None)
        if since != "":
            state["w"][me] = since

        up = state["applies"] > state["cleared"] and now < state["applies"] + SHOWN
        due = state["started"] + interval
        if state["started"] < state["undone"]:
            due = min(due, state["undone"])
        if state["started"] < max(state["stopped"], state["settles"]) - GRACE:
            due = 0
        holder, _, taken_at, _ = state["lease"] or (me, 0, 0, "")
        verdict, wait = "no", 0
        if ask and holder != me and "no lease" not in self.bugs:
            verdict, wait = "busy", min(taken_at + lease_for - now, ASK_AGAIN)
        elif ask == "start":
            verdict = "go" if since != "" and now >= max(state["settles"], due) - GRACE else "no"
        elif ask == "stop":
            verdict = "go" if not others and up else "no"
        if verdict == "go":
            state["lease"] = (me, n, now, ask)

        mine = state["lease"] is not None and state["lease"][0] == me
        held = since != "" or mine or (up and not others)
        (self.held.add if held else self.held.discard)((me, chat))
        if message != "" and others:
            state["q"][min((joined, member) for member, joined in others.items())[1]] = message
        if foreign and state["w"]:
            state["q"][min((joined, member) for member, joined in state["w"].items())[1]] = foreign
        if news and "no news" not in self.bugs:
            self.news |= {(member, chat) for member in others}
        quiet = state["q"].pop(me, "")
        return [verdict, now, wait, len(others), int(held), str(quiet), *(state[name] for name in MARKS)]

    def heartbeat(self, me: str, how: str, before: str, silence: int, ttl: int, limit: int) -> list[Any]:
        now = self.now()
        held = sum(member == me for member, _ in self.held)
        if how == "leave":
            if not held:
                self.members.pop(me, None)
            elif me in self.members:
                self.members[me] = -1
            self.news = {entry for entry in self.news if entry[0] != me}
            return [now, 0]
        if not self.alive(me) and how != "join":
            return [now, 0]
        self.members[me] = now
        if before in self.members:
            self.members[before] = -1
        news = sorted(chat for member, chat in self.news if member == me)[:limit]
        self.news -= {(me, chat) for chat in news}
        silent = sorted((score, member) for member, score in self.members.items() if score <= now - silence)[:50]
        return [now, 1, held, news, [text for score, member in silent for text in (member, str(score))]]

    def take_over(self, me: str, dead: str, seen: str, limit: int) -> list[Any]:
        score = self.members.get(dead)
        if "the forgotten take over" not in self.bugs and not self.alive(me):
            return []
        if score is None or (score >= 0 and str(score) != seen):
            return []
        self.members[dead] = -1
        chats = sorted(chat for member, chat in self.held if member == dead)[:limit]
        self.held -= {(dead, chat) for chat in chats}
        self.held |= {(me, chat) for chat in chats}
        if len(chats) < limit:
            del self.members[dead]
            self.news = {entry for entry in self.news if entry[0] != dead}
        return chats
