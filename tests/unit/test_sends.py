"""Watching the sends of httpx clients, with a listener and an engine of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import gc
import gzip
import inspect
import itertools
import json
import logging
import signal
import sys
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any
from unittest.mock import Mock, create_autospec

import httpx
import pytest

from linq_typing import TypingManager, _clients, _exchange, _sends, _streams
from linq_typing._core.indicator import MessageInFlight

from .kit import CHAT, OTHER_CHAT, FakeEngine

URL = f"https://linq.test/v3/chats/{CHAT}/messages"
NEW_CHAT_URL = "https://linq.test/v3/chats"
NEW_CHAT = json.dumps({"chat": {"id": CHAT}}).encode()


class Engine(FakeEngine):
    """Hears of messages when the test lets it, as the real one does: one begin and one end of each, or neither."""

    def __init__(self) -> None:
        super().__init__()
        self.in_flight: list[MessageInFlight] = []
        self.ended: list[tuple[str, bool]] = []

    def work_off(self) -> Engine:
        told, self.told = self.told, []
        for name, (chat_id, message, *ending) in told:
            if name == "send_began":
                message.began = True
                self.in_flight.append(message)
            elif not message.ended:
                message.ended = True
                if message.began:
                    self.in_flight.remove(message)
                _, accepted = ending
                if message.began or accepted:
                    self.ended.append((chat_id, accepted))
        return self


class Listener:
    _observes = False

    def __init__(self) -> None:
        self.engine = Engine()

    def _now(self) -> float:
        return self.engine.now()

    def _engine_to_tell(self) -> Engine:
        return self.engine

    @property
    def heard(self) -> list[tuple[str, bool]]:
        """The messages that have ended, each with whether it was accepted. None is in flight."""
        assert self.engine.work_off().in_flight == []
        return self.engine.ended


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def watching_all(listener: Listener) -> Iterator[None]:
    _sends.add_listener(listener)
    _sends.watch_all()
    yield
    _sends.unwatch_all()


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A test that expects a line looks at it and clears them."""
    yield
    assert [record.message for record in caplog.get_records("call") if record.levelno > logging.DEBUG] == []


def transport(
    answer: Callable[[], httpx.Response] = lambda: httpx.Response(202, content=NEW_CHAT),
) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: answer())


def client(answer: Callable[[], httpx.Response] = lambda: httpx.Response(202, content=NEW_CHAT)) -> httpx.Client:
    return httpx.Client(transport=transport(answer))


def async_client(answer: Callable[[], httpx.Response] = lambda: httpx.Response(202)) -> httpx.AsyncClient:
    async def handle(request: httpx.Request) -> httpx.Response:
        return answer()

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


def post(url: str = URL) -> httpx.Request:
    return httpx.Request("POST", url)


# -- An exception that is raised inside the watching, but has nothing to do with it


class StruckError(Exception):
    """As Celery's SoftTimeLimitExceeded: a plain Exception."""


def strike(call: Callable[[], object], at: int, error: BaseException | None) -> int:
    """Run the call and raise the error before its ``at``-th bytecode in ``_sends``; the number of those that ran."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename not in (_sends.__file__, _exchange.__file__, _streams.__file__, _clients.__file__):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace_opcode

    def trace_opcode(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "opcode"
        if event == "opcode" and count == at and error is not None:
            raise error
        return trace_opcode

    tracer = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(tracer)
    return count


def stream_to_its_end(watched: httpx.Client, url: str) -> None:
    with watched.stream("POST", url) as answer:
        answer.read()


def sent(listener: Listener) -> Callable[[], object]:
    watched = _sends.watch(client(), listener)
    return lambda: watched.send(post())


def sent_by_an_async_client(listener: Listener) -> Callable[[], object]:
    watched = _sends.watch(async_client(), listener)
    return lambda: asyncio.run(watched.send(post()))


def refused(listener: Listener) -> Callable[[], object]:
    watched = _sends.watch(client(lambda: httpx.Response(403)), listener)
    return lambda: watched.send(post())


def failed(listener: Listener) -> Callable[[], object]:
    def fail() -> httpx.Response:
        raise httpx.ConnectError("refused")

    watched = _sends.watch(client(fail), listener)

    def send() -> None:
        with contextlib.suppress(httpx.ConnectError):
            watched.send(post())

    return send


def sent_to_a_new_chat(listener: Listener) -> Callable[[], object]:
    watched = _sends.watch(client(), listener)
    return lambda: watched.send(post(NEW_CHAT_URL))


def streamed_from_a_new_chat(listener: Listener) -> Callable[[], object]:
    headers = {"Content-Length": str(len(NEW_CHAT))}
    watched = _sends.watch(client(lambda: httpx.Response(202, headers=headers, content=iter([NEW_CHAT]))), listener)
    return lambda: stream_to_its_end(watched, NEW_CHAT_URL)


def heard_by_two(listener: Listener) -> Callable[[], object]:
    watched = _sends.watch(_sends.watch(client(), Listener()), listener)
    return lambda: watched.send(post())


def sent_while_observing(listener: Listener) -> Callable[[], object]:
    listener._observes = True
    watched = _sends.watch(client(lambda: httpx.Response(202, json={"message": {"id": "m-1"}})), listener)
    return lambda: watched.send(post())


STRIKES = [
    *(
        (send, StruckError)
        for send in (
            sent_by_an_async_client,
            refused,
            failed,
            streamed_from_a_new_chat,
            heard_by_two,
            sent_while_observing,
        )
    ),
    *(
        (send, error)
        for send in (sent, sent_to_a_new_chat)
        for error in (StruckError, TimeoutError, RuntimeError, RecursionError, KeyboardInterrupt)
    ),
]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # it struck before the await
@pytest.mark.parametrize(("send", "error"), STRIKES)
def test_an_exception_at_any_bytecode_reaches_the_caller_and_leaves_no_message_in_flight(
    listener: Listener, send: Callable[[Listener], Callable[[], object]], error: type[BaseException]
) -> None:
    call = send(listener)

    def strike_everywhere() -> int:
        strike(call, 0, None)  # only from the second time on does CPython 3.12 trace bytecodes
        length, began = strike(call, 0, None), 0
        listener.heard.clear()
        for at in range(1, length + 1):
            with pytest.raises(error) as raised:
                strike(call, at, error("struck"))
            assert str(raised.value) == "struck"
            began += bool(listener.engine.told)
            assert len(listener.heard) <= 1  # while the exception, with its traceback and frames, is still held
            if sys.version_info >= (3, 13):  # which traces less after a tracer has raised, once
                strike(call, 0, None)
            listener.heard.clear()
        return began

    # In a thread of its own: an exception at some bytecodes, where no signal could strike, confuses CPython 3.11.
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(strike_everywhere).result() > 10


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_a_signal_handler_that_raises_leaves_no_message_in_flight(listener: Listener) -> None:
    def handle(*_: object) -> None:
        raise StruckError

    call, old = sent(listener), signal.signal(signal.SIGALRM, handle)
    gc.collect()
    gc.disable()  # what is raised in a weak reference's callback does not get out, and is an unraisable one
    try:
        for number in range(300):
            with contextlib.suppress(StruckError):
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + number * 1e-6)
                for _ in range(100):
                    call()
                signal.setitimer(signal.ITIMER_REAL, 0)
            listener.heard.clear()  # which looks for messages in flight
    finally:
        gc.enable()
        signal.signal(signal.SIGALRM, old)


class Instant(httpx.Client):
    """Needs less of the stack than the watching does."""

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        return ANSWER


ANSWER = httpx.Response(202, content=NEW_CHAT)


def room() -> int:
    """How many more calls the stack has room for."""
    try:
        return 1 + room()
    except RecursionError:
        return 0


@pytest.mark.parametrize("kind", [httpx.Client, Instant])
def test_a_stack_that_is_full_is_the_callers_and_leaves_no_message_in_flight(
    listener: Listener, kind: type[httpx.Client]
) -> None:
    watched, request = _sends.watch(kind(transport=transport()), listener), post()

    def send_from(depth: int) -> str:
        if depth > 0:
            return send_from(depth - 1)
        try:
            watched.send(request)
        except RecursionError:
            return "full"
        return "sent"

    outcomes: set[str] = set()
    for left in range(3, 80):
        outcomes.add(send_from(room() - left))
        listener.heard.clear()  # which looks for messages in flight
    assert outcomes == {"full", "sent"}


def test_a_coroutine_that_is_dropped_in_the_midst_of_a_send_ends_its_message(listener: Listener) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def main() -> None:
        watched = _sends.watch(httpx.AsyncClient(transport=httpx.MockTransport(never)), listener)
        coroutine = watched.send(post())
        coroutine.send(None)
        assert len(listener.engine.work_off().in_flight) == 1
        coroutine.close()

    asyncio.run(main())
    assert listener.heard == [(CHAT, False)]


# -- Errors of the watching


def test_an_error_of_a_listener_is_logged_and_neither_the_callers_nor_the_other_listeners(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Listener):
        def _engine_to_tell(self) -> Engine:
            raise TypeError("broken on purpose")

    broken, other = Broken(), Listener()
    watched = _sends.watch(_sends.watch(_sends.watch(client(), listener), broken), other)
    assert watched.send(post()).status_code == 202
    assert watched.send(post(NEW_CHAT_URL)).status_code == 202
    assert listener.heard == other.heard == [(CHAT, True)] * 2
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["broken on purpose"] * 2
    caplog.clear()


class OddAnswer(httpx.Response):
    @property
    def is_success(self) -> bool:
        raise TypeError("odd")


@pytest.mark.parametrize("url", [URL, NEW_CHAT_URL])
def test_an_odd_answer_is_logged_and_goes_its_way(
    listener: Listener, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    stub, answer = httpx.Client(), OddAnswer(202)
    vars(stub)["send"] = lambda request: answer
    assert _sends.watch(stub, listener).send(post(url)) is answer
    assert listener.heard == ([(CHAT, False)] if url == URL else [])
    assert "could not watch" in caplog.text
    caplog.clear()


def test_an_odd_request_is_logged_and_goes_its_way(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    request = post()
    del request.url
    assert _sends.watch(Instant(), listener).send(request).status_code == 202
    assert listener.heard == []
    assert "could not watch" in caplog.text
    caplog.clear()


def test_an_odd_body_is_logged_and_goes_its_way(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(201, content=iter(["text"]))), listener)  # type: ignore[arg-type]
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        assert list(answer.iter_raw()) == ["text"]  # type: ignore[comparison-overlap]
    assert "could not watch" in caplog.text
    caplog.clear()


def test_a_message_that_can_not_be_ended_does_not_keep_the_others_from_it(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    class BrokenEngine(Engine):
        def send_ended(self, *_: object) -> None:
            raise LookupError("broken on purpose")

    broken = Listener()
    broken.engine = BrokenEngine()
    assert _sends.watch(_sends.watch(client(), broken), listener).send(post()).status_code == 202
    assert listener.heard == [(CHAT, True)]
    assert "broken on purpose" in caplog.text
    caplog.clear()


# -- Clients of every kind


@dataclasses.dataclass
class Bot(httpx.Client):
    """Unhashable, and equal to its like."""

    name: str = "bot"

    def __post_init__(self) -> None:
        super().__init__(transport=transport())


def test_watch_all_takes_clients_that_define_equality(watching_all: None, listener: Listener) -> None:
    assert Bot().post(URL).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_clients_that_are_equal_are_watched_each_for_itself(listener: Listener) -> None:
    watched, other = _sends.watch(Bot(), listener), Bot()
    assert watched == other
    other.post(URL)
    assert listener.heard == []
    watched.post(URL)
    assert listener.heard == [(CHAT, True)]


def test_transfer_hands_over_clients_that_define_equality(listener: Listener) -> None:
    old = Listener()
    watched, other = _sends.watch(Bot(), old), _sends.watch(Bot(), Listener())
    _sends.transfer(old, listener)
    other.post(URL)
    watched.post(URL)
    assert listener.heard == old.heard == [(CHAT, True)]


def test_transfer_hands_over_a_client_that_others_watch_too(listener: Listener) -> None:
    old, other, watched = Listener(), Listener(), client()
    for watcher in (other, old):
        _sends.watch(watched, watcher)
    _sends.transfer(old, listener)
    watched.post(URL)
    assert listener.heard == old.heard == other.heard == [(CHAT, True)]


def test_what_has_wrapped_the_watched_send_of_all_clients_stays_when_the_watching_ends(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another library that patches httpx does. Nothing is heard any more, although it goes on to call ours."""
    monkeypatch.setattr(httpx.Client, "send", httpx.Client.send)  # puts it back in the end
    _sends.add_listener(listener)
    _sends.watch_all()
    ours = httpx.Client.send

    def send(self: httpx.Client, *args: Any, **kwargs: Any) -> httpx.Response:
        return ours(self, *args, **kwargs)

    httpx.Client.send = send  # type: ignore[method-assign]
    client().post(URL)
    _sends.unwatch_all()
    assert httpx.Client.send is send
    assert client().post(URL).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_a_watched_client_goes_when_nobody_holds_it_and_leaves_nothing_behind(listener: Listener) -> None:
    before = dict(_sends._watching)
    ref = weakref.ref(_sends.watch(client(), listener))
    assert ref() is None  # without the help of the garbage collector
    assert _sends._watching == before


def test_a_temporary_client_sends(listener: Listener) -> None:
    assert _sends.watch(client(), listener).send(post()).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_a_bound_send_keeps_its_client(listener: Listener) -> None:
    send = _sends.watch(client(), listener).send
    gc.collect()
    assert send(post()).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_an_async_temporary_client_sends(listener: Listener) -> None:
    async def main() -> None:
        assert (await _sends.watch(async_client(), listener).send(post())).status_code == 202

    asyncio.run(main())
    assert listener.heard == [(CHAT, True)]


def test_a_copy_of_a_watched_client_sends_and_can_be_watched(listener: Listener) -> None:
    original = _sends.watch(client(), Listener())
    copied = copy.copy(original)
    del original
    assert copied.send(post()).status_code == 202
    assert _sends.watch(copied, listener).send(post()).status_code == 202
    assert listener.heard == [(CHAT, True)]


@pytest.mark.parametrize("kind", [httpx.Client, Bot])
def test_a_watched_client_looks_like_any_other(listener: Listener, kind: type[httpx.Client]) -> None:
    plain, watched = kind(), _sends.watch(kind(), listener)
    assert watched.__class__ is kind
    assert isinstance(watched, kind)
    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        assert getattr(type(watched), name) == getattr(kind, name)
    assert repr(watched).partition(" at ")[0] == repr(plain).partition(" at ")[0]
    assert inspect.signature(watched.send) == inspect.signature(plain.send)
    assert inspect.iscoroutinefunction(_sends.watch(async_client(), listener).send)


def test_a_client_whose_class_admits_no_subclass_is_watched(listener: Listener) -> None:
    class FinalClient(httpx.Client):
        def __init_subclass__(cls) -> None:
            raise TypeError("final")

    watched = _sends.watch(FinalClient(transport=transport()), listener)
    assert watched.send(post()).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_a_class_with_slots_is_watched(listener: Listener) -> None:
    class SlottedClient(httpx.Client):
        __slots__ = ("extra",)

    assert _sends.watch(SlottedClient(transport=transport()), listener).send(request=post()).status_code == 202
    assert listener.heard == [(CHAT, True)]


def test_a_send_of_a_subclass_that_sends_again_counts_once(listener: Listener, watching_all: None) -> None:
    class Retrying(httpx.Client):
        def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
            super().send(*args, **kwargs)
            return super().send(*args, **kwargs)

    _sends.watch(Retrying(transport=transport()), listener).send(post())
    assert listener.heard == [(CHAT, True)]


# -- A ``send`` that was replaced


@pytest.mark.parametrize("answer", [None, "text", object(), Mock(status_code=202), httpx.Response(202)])
@pytest.mark.parametrize("url", [URL, NEW_CHAT_URL])
def test_whatever_a_stubbed_send_returns_goes_to_the_caller(listener: Listener, answer: object, url: str) -> None:
    stub = httpx.Client()
    stub.send = lambda request: answer  # type: ignore[method-assign, assignment, return-value, misc]
    _sends.watch(stub, listener)
    gc.collect()
    assert stub.send(post(url)) is answer
    if url == URL:
        assert listener.heard == [(CHAT, isinstance(answer, httpx.Response))]


def test_whatever_an_async_stub_returns_goes_to_the_caller(listener: Listener) -> None:
    async def stub(request: httpx.Request) -> str:
        return "text"

    watched = async_client()
    watched.send = stub  # type: ignore[method-assign, assignment]
    _sends.watch(watched, listener)
    assert asyncio.run(watched.send(post())) == "text"  # type: ignore[comparison-overlap]
    assert listener.heard == [(CHAT, False)]


@pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
def test_a_mock_of_a_client_stays_as_it_is(listener: Listener, kind: type) -> None:
    """Its send is its test's affair: it can be asserted on as before."""
    for mock in (Mock(spec=kind), create_autospec(kind)):
        send = mock.send
        assert _sends.watch(mock, listener) is mock
        assert mock.send is send


def test_a_stub_that_is_put_on_a_watched_client_is_used(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = _sends.watch(client(), listener)
    with monkeypatch.context() as patch:
        patch.setattr(watched, "send", lambda request: "stub")
        assert watched.send(post()) == "stub"  # type: ignore[comparison-overlap]
    with monkeypatch.context() as patch:
        patch.setattr(httpx.Client, "send", lambda self, request: "class stub")
        assert _sends.watch(client(), listener).send(post()) == "class stub"  # type: ignore[comparison-overlap]


# -- Answers that name the chat: read by whom, and when


class Endless:
    """A body without an end, as seen by whoever counts how much of it was asked for."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.given += 1
            yield bytes(bytearray(self.chunk))


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", "text/event-stream", None])
def test_a_stream_of_another_service_keeps_streaming(listener: Listener, kind: str | None) -> None:
    body = Endless(b'{"n": 1}\n')
    headers = {"Content-Type": kind} if kind else {}
    watched = _sends.watch(client(lambda: httpx.Response(200, headers=headers, content=body)), listener)
    with watched.stream("POST", "https://llm.test/v3/messages") as answer:
        assert body.given == 0
        lines = answer.iter_lines()
        assert [next(lines), next(lines)] == ['{"n": 1}'] * 2
        assert body.given <= 3
    assert body.given <= 3
    assert listener.heard == []


def test_a_stream_of_another_service_keeps_streaming_to_an_async_client(listener: Listener) -> None:
    body = Endless(b'{"n": 1}\n')

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in body:
            yield chunk

    async def main() -> None:
        watched = _sends.watch(async_client(lambda: httpx.Response(200, content=chunks())), listener)
        async with watched.stream("POST", "https://llm.test/v3/messages") as answer:
            assert body.given == 0
            assert await answer.aiter_raw().__anext__() == b'{"n": 1}\n'
        assert body.given == 1

    asyncio.run(main())
    assert listener.heard == []


def test_no_more_of_a_long_body_is_kept_than_can_be_of_use(listener: Listener) -> None:
    body = Endless(b" " * 10_000)
    watched = _sends.watch(client(lambda: httpx.Response(200, content=body)), listener)
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        tracemalloc.start()
        for _ in range(2_000):
            assert len(next(chunks)) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("length", [100, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_the_caller_gets_a_streamed_answer_byte_for_byte(listener: Listener, length: int, encoding: str) -> None:
    body = NEW_CHAT.ljust(length)
    raw = gzip.compress(body) if encoding == "gzip" else body
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}

    def answer() -> httpx.Response:
        pieces = (raw[i : i + 100] for i in range(0, len(raw), 100))
        return httpx.Response(201, headers=headers, content=pieces)

    watched = _sends.watch(client(answer), listener)
    with watched.stream("POST", NEW_CHAT_URL) as response:
        assert b"".join(response.iter_raw()) == raw
    with watched.stream("POST", NEW_CHAT_URL) as response:
        assert b"".join(response.iter_bytes()) == body
    assert listener.heard == ([(CHAT, True)] * 2 if length <= 65_536 else [])


def test_a_streamed_answer_counts_once_it_is_read_and_only_once(listener: Listener) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(201, content=iter([NEW_CHAT[:9], NEW_CHAT[9:]]))), listener)
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        assert listener.heard == []
        assert list(chunks) == [NEW_CHAT[9:]]
        assert listener.heard == [(CHAT, True)]
    assert listener.heard == [(CHAT, True)]


def test_an_answer_that_is_closed_twice_counts_once(listener: Listener) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(201, content=iter([NEW_CHAT]))), listener)
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        answer.read()
        answer.stream.close()  # type: ignore[union-attr]
    assert listener.heard == [(CHAT, True)]


@pytest.mark.parametrize("content", [NEW_CHAT, [NEW_CHAT]])
def test_an_answer_that_refuses_is_no_message(listener: Listener, content: Any) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(403, content=content)), listener)
    stream_to_its_end(watched, NEW_CHAT_URL)
    assert listener.heard == []


def test_an_answer_that_is_closed_after_its_last_byte_counts(listener: Listener) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(201, content=iter([NEW_CHAT]))), listener)
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        assert next(answer.iter_raw()) == NEW_CHAT
    assert listener.heard == [(CHAT, True)]


def chunks_taken(
    listener: Listener, headers: dict[str, str], chunks: list[bytes], *, read: int, is_async: bool
) -> list[bytes]:
    """Stream an answer of these chunks, read so many of them, and close it: what was taken from the connection."""
    taken: list[bytes] = []

    def body() -> Iterator[bytes]:
        for chunk in chunks:
            taken.append(chunk)
            yield chunk

    async def async_body() -> AsyncIterator[bytes]:
        for chunk in body():
            yield chunk

    async def main() -> None:
        watched = async_client(lambda: httpx.Response(201, headers=headers, content=async_body()))
        async with _sends.watch(watched, listener).stream("POST", NEW_CHAT_URL) as answer:
            raw = answer.aiter_raw()
            for _ in range(read):
                await raw.__anext__()

    if is_async:
        asyncio.run(main())
    else:
        watched = _sends.watch(client(lambda: httpx.Response(201, headers=headers, content=body())), listener)
        with watched.stream("POST", NEW_CHAT_URL) as answer:
            raw = answer.iter_raw()
            for _ in range(read):
                next(raw)
    return taken


@pytest.mark.parametrize(
    ("headers", "is_read"),
    [
        ({"Content-Length": "99", "Content-Type": "application/json"}, True),
        ({"Content-Length": "99"}, True),
        ({"Content-Length": "99", "Content-Type": "text/html"}, False),
        ({"Content-Length": "65537"}, False),
        ({"Content-Length": "1" * 5000}, False),
        ({"Content-Length": "ten"}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_only_a_short_answer_is_read_when_it_is_closed_unread(
    listener: Listener, headers: dict[str, str], is_read: bool, is_async: bool
) -> None:
    taken = chunks_taken(listener, headers, [NEW_CHAT], read=0, is_async=is_async)
    assert taken == ([NEW_CHAT] if is_read else [])
    assert listener.heard == ([(CHAT, True)] if is_read else [])


@pytest.mark.parametrize("is_async", [False, True])
def test_an_answer_that_the_caller_has_begun_to_read_is_not_read_on_for_him(listener: Listener, is_async: bool) -> None:
    chunks = [NEW_CHAT[:9], NEW_CHAT[9:]]
    assert chunks_taken(listener, {"Content-Length": "99"}, chunks, read=1, is_async=is_async) == chunks[:1]
    assert listener.heard == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_body_that_breaks_off_while_it_is_closed_is_not_the_callers_affair(
    listener: Listener, is_async: bool
) -> None:
    closed: list[bool] = []

    class Broken(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            raise httpx.ReadError("reset")

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in self:
                yield chunk

        def close(self) -> None:
            closed.append(True)

        async def aclose(self) -> None:
            closed.append(True)

    def answer() -> httpx.Response:
        return httpx.Response(201, headers={"Content-Length": "50"}, stream=Broken())

    async def main() -> None:
        async with _sends.watch(async_client(answer), listener).stream("POST", NEW_CHAT_URL):
            pass

    if is_async:
        asyncio.run(main())
    else:
        with _sends.watch(client(answer), listener).stream("POST", NEW_CHAT_URL):
            pass
    assert closed == [True]
    assert listener.heard == []


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"\xff", b'{"chat": null}', b'{"chat_id": 7}', b'{"chat_id": "no"}', b"[" * 60_000],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_names_no_chat_is_nothing(listener: Listener, body: bytes, streamed: bool) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(200, content=iter([body]))), listener)
    with (
        watched.stream("POST", NEW_CHAT_URL)
        if streamed
        else contextlib.nullcontext(watched.post(NEW_CHAT_URL)) as answer
    ):
        assert answer.read() == body
    assert listener.heard == []


def test_an_answer_that_a_hook_has_used_up_is_nothing(listener: Listener) -> None:
    watched = _sends.watch(client(lambda: httpx.Response(200, content=iter([NEW_CHAT]))), listener)
    watched.event_hooks = {"response": [lambda answer: list(answer.iter_raw())]}
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        assert answer.is_stream_consumed
    assert listener.heard == []


def test_a_broken_compressed_answer_is_nothing(listener: Listener) -> None:
    headers = {"Content-Encoding": "gzip"}
    watched = _sends.watch(client(lambda: httpx.Response(200, headers=headers, content=iter([b"no gzip"]))), listener)
    with watched.stream("POST", NEW_CHAT_URL) as answer:
        assert list(answer.iter_raw()) == [b"no gzip"]
    assert listener.heard == []


# -- What a client lends


def lent(client: object) -> Any:
    return _clients.credentials_of(client)


def test_headers_that_typing_requests_could_not_carry_are_not_lent() -> None:
    names = {"X-Good": "fine", "X-Bytes": b"\xff\xfe", "X-Latin": "é".encode("latin-1"), "X-Utf8": "é".encode()}
    given = lent(httpx.Client(headers={**names, "X-Break": "a\nb", "X-Space": " a", "Authorization": "Bearer key"}))
    assert given.headers == {"x-good": "fine"}
    assert given.api_key == "key"


def test_a_manager_takes_a_client_with_headers_of_odd_bytes() -> None:
    headers = {"X-Bytes": b"\xff", "Authorization": b"Bearer key"}
    with TypingManager(client=httpx.Client(headers=headers, base_url="https://linq.test")) as manager:
        assert "linq.test" in repr(manager)


def test_a_client_with_odd_attributes_lends_what_can_be_used() -> None:
    class Raising:
        _client = httpx.Client()
        default_headers = property(lambda self: 1 / 0)
        api_key = property(lambda self: 1 / 0)
        base_url = property(lambda self: 1 / 0)

    class Odd:
        _client = httpx.Client()
        default_headers = {1: "a", "X-None": None, "bad name": "a", "X-Good": "fine"}  # noqa: RUF012
        api_key = b"key"
        base_url = 7

    class Bare:
        _client = httpx.Client()

    for client in (Raising(), Bare(), Mock(spec=httpx.Client)):
        assert (lent(client).api_key, lent(client).base_url, dict(lent(client).headers)) == (None, None, {})
    assert (lent(Odd()).api_key, lent(Odd()).base_url, lent(Odd()).headers) == (None, None, {"X-Good": "fine"})


@pytest.mark.parametrize("nested", [False, True])
def test_a_body_that_is_nested_too_deeply_names_no_chat_but_a_full_stack_is_the_callers(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, nested: bool
) -> None:
    """Both are a RecursionError of the parser."""

    def loads(content: bytes) -> object:
        raise RecursionError

    content = b'{"a":' * 100 + b"1" + b"}" * 100 if nested else NEW_CHAT
    watched = _sends.watch(client(lambda: httpx.Response(202, content=content)), listener)
    monkeypatch.setattr(json, "loads", loads)
    with contextlib.nullcontext() if nested else pytest.raises(RecursionError):
        watched.post(NEW_CHAT_URL)
    assert listener.heard == []


def test_a_client_that_is_watched_twice_is_watched_once(listener: Listener) -> None:
    watched = client()
    for _ in range(2):
        _sends.watch(watched, listener)
    watched.post(URL)
    assert listener.heard == [(CHAT, True)]


def test_what_is_posted_elsewhere_is_no_message_even_if_its_answer_names_a_chat(listener: Listener) -> None:
    _sends.watch(client(), listener).post("https://linq.test/v3/messages/42/reactions")
    assert listener.heard == []


def test_a_message_that_is_known_by_its_answer_began_with_its_request(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened between the two may have come before it or after it."""
    clock = itertools.count(100.0)
    monkeypatch.setattr(listener.engine, "now", lambda: next(clock))
    _sends.watch(client(), listener).post(NEW_CHAT_URL)
    [(_, message, at, _)] = listener.engine.calls("send_ended")
    assert (message.began_at, at) == (100.0, 101.0)


def test_what_is_no_message_goes_through_a_watched_async_client_as_well(listener: Listener) -> None:
    async def main() -> int:
        async with async_client() as plain:
            return (await _sends.watch(plain, listener).get(URL)).status_code

    assert asyncio.run(main()) == 202
    assert listener.heard == []


def test_two_chats_do_not_mix(listener: Listener) -> None:
    watched = _sends.watch(client(), listener)
    watched.post(URL)
    watched.post(URL.replace(CHAT, OTHER_CHAT))
    watched.post(URL.replace(CHAT, "no-chat"))
    watched.get(URL)
    assert listener.heard == [(CHAT, True), (OTHER_CHAT, True)]


# -- The ids of messages, for those who observe webhooks


def ids(listener: Listener) -> list[str]:
    """Of the messages that were told of."""
    return [*dict.fromkeys(message.id for _, (_, message, *_) in listener.engine.told)]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("chats/{chat}/messages", {"chat_id": CHAT, "message": {"id": "m-1"}}),
        ("chats/{chat}/voicememo", {"voice_memo": {"id": "m-1", "voice_memo": {"id": "file"}}}),
        ("chats/{chat}/polls", {"chat_id": CHAT, "message_id": "m-1", "poll": {}}),
        ("messages", {"chat_id": CHAT, "message": {"id": "m-1"}}),
        ("messages/m-1/update", {"chat_id": CHAT, "message": {"id": "m-1"}}),
        ("chats", {"chat": {"id": CHAT, "message": {"id": "m-1"}}}),
    ],
)
def test_the_answer_tells_the_id_of_the_message(listener: Listener, path: str, answer: dict[str, Any]) -> None:
    """As the SDK's types say."""
    listener._observes = True
    watched = _sends.watch(client(lambda: httpx.Response(202, json=answer)), listener)
    watched.send(post(f"https://linq.test/v3/{path.format(chat=CHAT)}"))
    assert ids(listener) == ["m-1"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b"5", b'{"message": 5}', b'{"message": {"id": 5}}', b"[" * 50_000, b"\xff",
     b'{"message": {"id": "m-1"}, "x": "' + b"x" * 65_536 + b'"}'],
)  # fmt: skip
def test_an_answer_may_tell_no_id(listener: Listener, answer: bytes) -> None:
    """Malformed, or longer than Linq's are: the message counts all the same."""
    listener._observes = True
    _sends.watch(client(lambda: httpx.Response(202, content=answer)), listener).send(post())
    assert ids(listener) == [""]
    assert listener.heard == [(CHAT, True)]


def test_a_streamed_answer_is_not_read_for_the_id(listener: Listener) -> None:
    listener._observes = True
    watched = _sends.watch(client(lambda: httpx.Response(202, content=iter([b'{"message": {"id": "m-1"}}']))), listener)
    stream_to_its_end(watched, URL)
    assert ids(listener) == [""]
    assert listener.heard == [(CHAT, True)]


def test_without_webhooks_no_answer_is_read_for_the_id(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exchange, "parsed", None)  # it would be called, and fail
    _sends.watch(client(), listener).send(post())
    assert ids(listener) == [""]
