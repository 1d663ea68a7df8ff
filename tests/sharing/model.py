"""Several processes with clocks of their own, one server, one chat at Linq, and chance, which makes trouble.

Each process has the real :class:`Member` and the real :class:`SharedIndicator`, driven as the runner drives them; the
server is :class:`.twin.Twin`. What is judged is what the recipient sees, and the requests.

* clean: nothing fails. No gap, no start too many, few exchanges, never two requests in flight, no ghost.
* calm: processes are killed, and requests fail. Never two requests in flight, no ghost.
* rough: they also stand still; the server is down, slow, flushed or failed over. No ghost 25 s after the last fault.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from math import inf
from types import SimpleNamespace
from typing import Any

from linq_typing._core import member as _member
from linq_typing._core import shared_indicator as _shared
from linq_typing._core.indicator import Action, MessageInFlight, Outcome, SessionState
from linq_typing._settings import SessionOptions

from .twin import Twin

CHAT = "the-chat"
TIMEOUT, MAY_APPLY_FOR, SHOWN, SETTLE = 5.0, 5.0, 90.0, 3.0
STEPS = (3, 5, 8, 12, 20, 40)
REST = 25.0  #: seconds after the last fault in which all has to be cleared up

#: The sound code; a mutant takes the place of a part.
SOUND = SimpleNamespace(Member=_member.Member, SharedIndicator=_shared.SharedIndicator, bugs=frozenset())


class Process:
    """One process, and the driver of its one chat."""

    def __init__(self, world: World) -> None:
        self.world, self.chance = world, world.chance
        self.skew = self.chance.uniform(0, 1000)
        self.name = f"p{world.count}"
        world.count += 1
        self.lives = 0
        self.member = world.code.Member("{walk}", TIMEOUT, self.new_id)
        self.chats: dict[str, Any] = {}
        self.sessions: list[SessionState] = []
        self.killed = self.closing = self.begun = self.dispatch_due = False
        self.stalled_until = -inf
        self.wakes_at = inf
        if self.chance.random() < 0.8:  # else it joins with the first thing that happens to it
            self.begin()

    def new_id(self) -> str:
        self.lives += 1
        return f"{self.name}.{self.lives}"

    def now(self) -> float:
        return self.world.t + self.skew

    @property
    def mode(self) -> str:
        return str(self.member.mode.value)

    def after(self, delay: float, call: Callable[[], object]) -> None:
        """Later, if it still lives; while it stands still, not before that ends."""

        def run() -> None:
            if self.killed:
                return
            if self.world.t < self.stalled_until:
                self.world.at(self.stalled_until + self.chance.random() * 0.01, run)
            else:
                call()

        self.world.at(self.world.t + delay, run)

    def log(self, text: str) -> None:
        self.world.log(f"{self.name}  {text}")

    # -- The server

    def run(self, calls: Sequence[_member.Call], done: Callable[[list[list[Any]] | None], object]) -> None:
        """Run calls in one go; None after PATIENCE. They may be carried out late, or unheard."""
        world, chance, ended = self.world, self.chance, []

        def end(replies: list[list[Any]] | None) -> None:
            if not ended:
                ended.append(True)
                done(replies)

        def carry_out() -> None:
            if world.down or (world.rough and chance.random() < 0.02):
                return
            replies = [world.server.run(call) for call in calls]
            world.exchanges += sum(call.script == "exchange" for call in calls)
            if not (world.rough and chance.random() < 0.02):
                self.after(chance.choice(world.latency), lambda: end(replies))

        late = chance.choice(world.latency * 4 + (0.3, 3.0)) if world.rough else chance.choice(world.latency)
        world.at(world.t + late, carry_out)
        self.after(_member.PATIENCE, lambda: end(None))

    def begin(self) -> None:
        """It joins."""
        if not self.begun:
            self.begun = True
            self.heartbeat()
            self.after(_member.PATIENCE, self.give_up_connecting)

    def give_up_connecting(self) -> None:
        if self.mode == "connecting":
            self.lost()

    def heartbeat(self) -> None:
        sent_at = self.now()

        def done(replies: list[list[Any]] | None) -> None:
            if replies is None:
                self.lost()
            else:
                shared = self.mode == "shared"
                before = self.member.id
                news, dead = self.member.heartbeat_answered(replies[0], sent_at, self.now())
                if self.member.id != before:
                    self.log(f"has a new life: {self.member.id}")
                    self.heartbeat()
                    self.lost()
                    return
                for chat_id in news:
                    self.chat(chat_id).share.dirty = True
                if not shared:
                    self.log("shared")
                    for chat_id in self.member.held:
                        self.chat(chat_id)
                    self.member.start_over(self.chats.values())
                if news:
                    self.review_all()
                self.pump()
                for each in dead:
                    self.take_over(each)
            self.after(_member.HEARTBEAT, self.heartbeat)

        self.run([self.member.heartbeat()], done)

    def take_over(self, dead: Any) -> None:
        def done(replies: list[list[Any]] | None) -> None:
            if replies is not None and replies[0]:
                self.log(f"takes over from {dead.id}")
                self.member.took_over(replies[0])
                for chat_id in replies[0]:
                    self.chat(chat_id).share.dirty = True
                self.review_all()

        if self.mode == "shared":
            self.run([self.member.take_over(dead)], done)

    def lost(self) -> None:
        if self.mode != "alone":
            self.log("alone")
        for chat in self.member.lost():
            self.review(chat)

    def pump(self) -> None:
        batch = self.member.batch(self.now())
        if not batch:
            return
        life = self.member.id

        def done(replies: list[list[Any]] | None) -> None:
            if replies is None:
                self.lost()
                return
            for chat, ask, granted in self.member.answered(batch, replies, self.now()):
                if granted and not self.killed:
                    if chat.next(self.now())[0] is ask:
                        self.send(chat, ask)
                    else:
                        self.member.return_lease(chat)
            if self.member.id != life:
                self.log("is unknown to the server")
                self.lost()
            self.review_all()

        self.run([exchange.call for exchange in batch], done)

    # -- The runner

    def chat(self, chat_id: str = CHAT) -> Any:
        if chat_id not in self.chats:
            self.chats[chat_id] = self.world.new_chat(chat_id, self.member)
        return self.chats[chat_id]

    def review_all(self) -> None:
        for chat in list(self.chats.values()):
            self.review(chat)

    def review(self, chat: Any) -> None:
        now = self.now()
        action, due = chat.next(now)
        if action is None and due < inf:
            self.wake_at(max(due, now) + 1e-6)
        elif action is None and chat.forgettable(now):
            self.chats.pop(chat.id, None)
        self.member.review(chat, now)
        if not self.dispatch_due:
            self.dispatch_due = True
            self.after(0, self.dispatch)

    def wake_at(self, moment: float) -> None:
        if moment < self.wakes_at:
            self.wakes_at = moment
            self.after(moment - self.now(), lambda: self.on_time(moment))

    def on_time(self, moment: float) -> None:
        if moment == self.wakes_at:
            self.wakes_at = inf
            self.review_all()

    def dispatch(self) -> None:
        self.dispatch_due = False
        for chat in list(self.chats.values()):
            action, _ = chat.next(self.now())
            if action is not None and self.member.may_send_alone:
                self.send(chat, action)
            elif action is not None:
                self.member.ask(chat, action)
        self.pump()

    def send(self, chat: Any, action: Action) -> None:
        world, chance = self.world, self.chance
        chat.sent(action, self.now())
        sent_at = world.t
        self.log(f"sends {action.value}")
        world.request(self, action)
        bad = [Outcome.UNKNOWN, Outcome.NO_ANSWER, Outcome.NOT_APPLIED]
        if world.clean or (not world.rough and chance.random() < 0.7):
            bad = []
        outcome = chance.choice([Outcome.ACCEPTED] * 6 + bad)
        took = TIMEOUT if outcome is Outcome.NO_ANSWER else chance.choice((0.05, 0.1, 0.3, 1.0))
        works = outcome is Outcome.ACCEPTED or (outcome is not Outcome.NOT_APPLIED and chance.random() < 0.6)
        if works:
            late = chance.uniform(0, took + (MAY_APPLY_FOR if outcome is Outcome.NO_ANSWER else 0))
            world.at(sent_at + late, lambda: world.effect(action))
        world.at(sent_at + took, lambda: world.in_flight.remove(self))

        def answered() -> None:
            retry_in = None if outcome is Outcome.ACCEPTED else chance.choice((0.5, 1.2))
            chat.answered(outcome, self.now(), retry_in=retry_in)
            self.review(chat)

        self.after(took, answered)

    # -- What happens to it

    def join(self) -> None:
        self.begin()
        self.world.inputs += 1
        options = SessionOptions(
            start_delay=self.chance.choice((0.0, 0.0, 0.5)), refresh_interval=self.world.interval, max_duration=None
        )
        session = SessionState(options, self.now())
        self.sessions.append(session)
        chat = self.chat()
        chat.join(session, self.now())
        self.log("join")
        self.review(chat)

    def leave(self, session: SessionState, linger: float) -> None:
        self.sessions.remove(session)
        self.world.inputs += 1
        chat = self.chat()
        chat.leave(session, self.now(), linger)
        self.log(f"leave {linger}")
        self.review(chat)

    def pause(self, session: SessionState) -> None:
        self.world.inputs += 1
        chat = self.chat()
        if session.paused_at is None and self.chance.random() < 0.5:
            chat.pause(session, self.now())
            self.log("pause")
        else:
            chat.resume(session, self.now())
            self.log("resume")
        self.review(chat)

    def message(self, session: SessionState | None) -> None:
        self.begin()
        self.world.inputs += 1
        world, chance = self.world, self.chance
        message = MessageInFlight(self.now(), session or "unknown")
        chat = self.chat()
        chat.send_began(message)
        self.log("message" if session else "message of nobody")
        self.review(chat)
        took, accepted = chance.choice((0.05, 0.3, 1.5)), chance.random() < 0.85
        world.settled = world.touched = max(world.touched, world.t + took + SETTLE)
        if accepted:
            world.at(world.t + chance.uniform(0, took + SETTLE - 0.05), lambda: world.effect(None))

        def ended() -> None:
            chat = self.chat()
            chat.send_ended(message, self.now(), accepted)
            self.review(chat)

        self.after(took, ended)

    def close(self) -> None:
        """It shuts down normally: its stops go out, then it leaves."""
        self.closing = True
        self.log("closes")
        for session in list(self.sessions):
            self.leave(session, 0.0)
        for chat in list(self.chats.values()):
            chat.flush()
        self.review_all()
        self.after(5.0, self.end)

    def end(self) -> None:
        self.world.excuse(self)
        if self.begun and self.mode == "shared":
            self.run([self.member.heartbeat(leave=True)], lambda replies: self.world.gone(self))
        else:
            self.world.gone(self)


class World:
    """The processes, the server, Linq and its recipient."""

    def __init__(self, seed: int, mode: str, code: Any = SOUND, *, verbose: bool = False) -> None:
        self.chance, self.code, self.verbose = random.Random(f"{mode} {seed}"), code, verbose
        self.mode, self.rough, self.clean = mode, mode == "rough", mode == "clean"
        self.t, self.queue, self.number, self.count = 0.0, [], 0, 0
        self.down, self.clock_step = False, self.chance.uniform(1e6, 1e7)
        self.server = Twin(lambda: round((self.t + self.clock_step) * 1000), code.bugs)
        self.snapshot: Any = None
        self.interval = self.chance.choice((60.0, 20.0))
        # No two walks are of the same temper.
        slow = () if self.clean else ((0.001, 0.05, 0.1), (0.08, 0.1, 0.12))
        self.latency = self.chance.choice(((0.001, 0.001, 0.02), (0.001, 0.02, 0.02), *slow))
        kinds = ["leave", "leave", "message", "pause", "close"] + ["kill", "orphan"] * (not self.clean)
        kinds += ["stall", "down", "flush", "fail over"] * self.rough
        self.kinds = ["join", "join"] + [kind for kind in kinds for _ in range(self.chance.choice((0, 1, 1, 1, 3)))]
        self.delays = (0, 0.01, 0.1, 0.3, 0.5, 1, 2, 3, 7, 20, 60)[: self.chance.choice((6, 9, 9, 10, 11))]
        self.up_until = self.settled = self.touched = 0.0
        self.in_flight: list[Process] = []
        self.requests = 0
        self.excused_until = 0.0
        self.longest, self.alone_since, self.missed = 0.0, None, False
        self.exchanges = self.inputs = 0

        class Chat(code.SharedIndicator):  # type: ignore[misc]
            __slots__ = ("id", "share")

        def new_chat(chat_id: str, member: Any) -> Any:
            chat = Chat(SETTLE)
            chat.id, chat.share = chat_id, _shared.Share(member)
            return chat

        self.new_chat = new_chat
        self.processes = [Process(self) for _ in range(3)]

    def log(self, text: str) -> None:
        if self.verbose:
            print(f"{self.t:8.3f}  {text}")

    # -- Time

    def at(self, moment: float, call: Callable[[], object]) -> None:
        self.number += 1
        heapq.heappush(self.queue, (moment, self.number, call))

    def run(self, until: float) -> None:
        queue = self.queue
        while queue and queue[0][0] <= until:
            moment, _, call = heapq.heappop(queue)
            if moment > self.t:
                self.look(moment)
                self.t = moment
            call()
        self.look(until)
        self.t = until

    def look(self, until: float) -> None:
        """What the recipient sees from now until then."""
        up = self.up_until > self.t
        if up and not self.clean and not any(process.sessions for process in self.processes):
            self.alone_since = self.t if self.alone_since is None else self.alone_since
            self.longest = max(self.longest, min(until, self.up_until) - self.alone_since)
        else:
            self.alone_since = None
        if up or not self.clean:
            self.missed = False
            return
        missed = self.wanted()
        if missed and not self.missed:
            self.touched = max(self.touched, self.t)
        self.missed = missed
        assert not missed or until < self.touched + _member.HEARTBEAT + 1.5, f"a gap at {until:.1f}"

    def wanted(self) -> bool:
        return any(session.wants(process.now()) for process in self.processes for session in process.sessions)

    # -- Linq

    def request(self, process: Process, action: Action) -> None:
        self.requests += 1
        self.touched = max(self.touched, self.t + 1)
        self.in_flight.append(process)
        assert self.mode == "rough" or len(self.in_flight) == 1, f"two requests in flight at {self.t:.1f}"

    def effect(self, action: Action | None) -> None:
        start = action is Action.START
        if start and self.clean and self.up_until - SHOWN > self.settled:
            assert self.t > self.up_until - SHOWN + self.interval - 1.2, f"a start too many at {self.t:.1f}"
        self.up_until = self.t + SHOWN if start else 0.0
        self.log(f"    takes effect: {action.value if action else 'message'}")

    # -- Faults

    def living(self) -> list[Process]:
        return [p for p in self.processes if self.t >= p.stalled_until and not p.closing]

    def dispensable(self) -> Process | None:
        """One of those that live, if another has joined, too: with nobody there, nobody can take over."""
        process = self.chance.choice(self.living() or [None])
        return process if any(other.begun and other is not process for other in self.living()) else None

    def kill(self, process: Process) -> None:
        process.log("KILLED")
        self.excuse(process)
        process.killed = True
        self.gone(process)

    def excuse(self, process: Process) -> None:
        """What it leaves behind, if it was cut off: nobody else can know."""
        chat = process.chats.get(CHAT)
        owes = chat is not None and (chat.maybe_up(process.now()) or chat.in_flight)
        known = process.mode == "shared" and (process.member.id, CHAT) in self.server.held
        if owes and not known:
            self.excused_until = max(self.excused_until, self.t + SHOWN + 2 * TIMEOUT + MAY_APPLY_FOR)

    def gone(self, process: Process) -> None:
        if process in self.processes:
            process.killed = True
            self.processes.remove(process)
            self.at(self.t + self.chance.choice((0.5, 5, 20)), lambda: self.processes.append(Process(self)))

    def fault(self, kind: str) -> None:
        server, living = self.server, self.living()
        ids = {process.member.id for process in self.processes}
        # A death that is not yet cleared up is enough: what only the server knows must not get lost, too.
        two_faults = {*server.members, *(member for member, _ in server.held)} - ids or self.only_the_server_knows()
        if kind == "kill" and (process := self.dispensable()):
            self.kill(process)
        elif kind == "stall" and living:
            process = self.chance.choice(living)
            process.stalled_until = self.t + self.chance.choice((1, 4, 9, 30))
            process.log(f"STANDS STILL until {process.stalled_until:.1f}")
        elif kind == "down":
            self.down = not self.down
            self.log(f"SERVER {'down' if self.down else 'up'}")
        elif kind == "flush" and not two_faults:
            server.flush()
            self.log("SERVER flushed")
        elif kind == "fail over" and not two_faults and self.snapshot is not None:
            server.restore(self.snapshot)
            self.snapshot = None
            self.clock_step += self.chance.uniform(-0.2, 0.2)
            self.log("SERVER failed over")

    def only_the_server_knows(self) -> bool:
        state = self.server.chats.get(CHAT)
        if state is None or state["applies"] <= state["cleared"]:
            return False
        chats = [(chat, process.now()) for process in self.processes for chat in process.chats.values()]
        return not any(chat.in_flight or chat.maybe_up(now) for chat, now in chats)

    # -- Chance

    def step(self) -> None:
        chance, living = self.chance, self.living()
        kind = chance.choice(self.kinds)
        if kind == "join" and living:
            chance.choice(living).join()
        elif kind == "orphan" and living:
            chance.choice(living).message(None)
        elif kind == "close" and (process := self.dispensable()):
            process.close()
        elif kind in ("leave", "message", "pause"):
            sessions = [(process, session) for process in living for session in process.sessions]
            if sessions:
                process, session = chance.choice(sessions)
                if kind == "leave":
                    process.leave(session, chance.choice((0.5, 0.0)))
                else:
                    getattr(process, kind)(session)
                    self.touched = max(self.touched, self.t)
        else:
            self.fault(kind)
        if self.rough and chance.random() < 0.3:
            self.snapshot = self.server.snapshot()
        self.run(self.t + chance.choice(self.delays))

    def finish(self) -> None:
        """Everything ends well; then nobody may see the indicator, and nobody may answer for it."""
        self.rough = self.down = False
        self.run(max([self.t, *(process.stalled_until for process in self.processes)]) + 1.5)
        for process in self.processes:
            for session in list(process.sessions):
                process.leave(session, 0.5)
        since = self.t
        self.run(since + REST)
        last = self.t
        while self.t < last + 10 and self.up_until <= self.t:
            self.run(self.t + 0.5)
        assert self.up_until <= self.t or self.t < self.excused_until, f"a ghost until {self.up_until:.1f}"
        if self.clean:
            most = 4 * (self.inputs + self.requests) + 10
            assert self.exchanges <= most, f"{self.exchanges} exchanges, more than {most}"
        if not self.excused_until:
            assert not self.server.held, f"somebody still answers for the chat: {self.server.held}"


def walk(seed: int, mode: str, code: Any = SOUND, *, verbose: bool = False) -> World:
    world = World(seed, mode, code, verbose=verbose)
    world.run(5.0)
    for _ in range(STEPS[seed % len(STEPS)]):
        world.step()
    world.finish()
    return world
