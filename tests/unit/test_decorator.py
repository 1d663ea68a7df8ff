"""The decorator on every kind of function, and where it finds the chat id of a call."""

import asyncio
import collections
import contextlib
import contextvars
import functools
import inspect
import logging
import sys
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any
from uuid import UUID

import pytest

from linq_typing._session import current_session
from linq_typing._typing_while import make_typing_while
from linq_typing.errors import ConfigurationError

from .kit import CHAT, OTHER_CHAT, FakeSource, carried


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def typing_while(source: FakeSource) -> Callable[..., Any]:
    """``typing_while`` in all its forms, over the fake source."""

    def make(chat_id: Any = None, **options: Any) -> Any:
        return make_typing_while(source, chat_id, **options)  # type: ignore[arg-type, return-value]

    return make


def _here(source: FakeSource) -> str:
    """The chat of the current session, which must be the only open one."""
    session = current_session()
    assert session is not None
    assert source.open_now == [session]
    return session.chat_id


# -- Forms


def test_bare_with_parentheses_and_with_a_chat_id(source: FakeSource, typing_while: Any) -> None:
    """The three forms of the decorator."""

    @typing_while
    def bare(chat_id: str) -> str:
        return _here(source)

    @typing_while()
    def called(chat_id: str) -> str:
        return _here(source)

    @typing_while(OTHER_CHAT)
    def fixed() -> str:
        return _here(source)

    assert [bare(CHAT), called(chat_id=CHAT), fixed()] == [CHAT, CHAT, OTHER_CHAT]
    assert source.open_now == []


def test_a_call_passes_arguments_result_and_exception(source: FakeSource, typing_while: Any) -> None:
    """Untouched; an exception ends the session at once, a result after stop_delay."""
    raised = ValueError("mine")

    @typing_while
    def work(chat_id: str, *args: int, flag: bool = False, **kwargs: int) -> Any:
        if flag:
            raise raised
        return chat_id, args, kwargs

    assert work(CHAT, 1, 2, a=3) == (CHAT, (1, 2), {"a": 3})
    with pytest.raises(ValueError, match="mine") as caught:
        work(CHAT, flag=True)
    assert caught.value is raised
    assert source.lingers == [0.5, 0.0]


def test_each_call_has_a_session_of_its_own(source: FakeSource, typing_while: Any) -> None:
    """Recursion and concurrency need no second decorator."""

    @typing_while
    def factorial(chat_id: str, n: int) -> int:
        assert len(source.open_now) == 4 - n
        return 1 if n == 1 else n * factorial(chat_id, n - 1)

    assert factorial(CHAT, 3) == 6

    @typing_while
    async def wait(chat_id: str) -> str:
        mine = current_session()
        await asyncio.sleep(0.01)
        assert current_session() is mine
        return chat_id

    async def main() -> None:
        calls = [asyncio.create_task(wait(CHAT)) for _ in range(5)]
        await asyncio.sleep(0)
        assert len(source.open_now) == 5
        await asyncio.gather(*calls)

    asyncio.run(main())
    assert len({id(s) for s in source.sessions}) == 8
    assert source.open_now == []


def test_a_coroutine_function(source: FakeSource, typing_while: Any) -> None:
    """The session begins when the coroutine runs, not when it is made."""

    @typing_while
    async def reply(chat_id: str, text: str) -> str:
        await asyncio.sleep(0)
        return f"{_here(source)} {text}"

    async def main() -> None:
        coroutine = reply(CHAT, text="hi")
        assert source.sessions == []
        assert await coroutine == f"{CHAT} hi"

    asyncio.run(main())
    assert (source.open_now, source.lingers) == ([], [0.5])


def test_a_cancelled_coroutine_ends_its_session_at_once(source: FakeSource, typing_while: Any) -> None:
    """The cancellation passes."""

    @typing_while
    async def reply(chat_id: str) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reply(CHAT), 0.01)

    asyncio.run(main())
    assert (source.open_now, source.lingers) == ([], [0.0])


def test_a_configuration_error_is_the_callers(source: FakeSource, typing_while: Any) -> None:
    """Without a key the function does not run; it is no run-time trouble with one call's id."""
    source.fails_with = ConfigurationError("no key")

    @typing_while
    def reply(chat_id: str) -> None:
        pytest.fail("ran")

    with pytest.raises(ConfigurationError):
        reply(CHAT)


# -- Methods, partial and the like


def test_methods_class_methods_and_static_methods(source: FakeSource, typing_while: Any) -> None:
    """Underneath the other decorator; called through the class and through an instance."""

    class Bot:
        name = "bot"

        @typing_while
        def method(self, chat_id: str) -> tuple[str, str]:
            return self.name, _here(source)

        @typing_while
        async def async_method(self, chat_id: str) -> tuple[str, str]:
            return self.name, _here(source)

        @classmethod
        @typing_while
        def class_method(cls, chat_id: str) -> tuple[str, str]:
            return cls.name, _here(source)

        @staticmethod
        @typing_while
        def static_method(chat_id: str) -> tuple[str, str]:
            return "static", _here(source)

        @typing_while
        def generate(self, chat_id: str) -> Iterator[str]:
            yield _here(source)

    bot = Bot()
    assert bot.method(CHAT) == Bot.method(bot, chat_id=CHAT) == ("bot", CHAT)
    assert asyncio.run(bot.async_method(CHAT)) == ("bot", CHAT)
    assert Bot.class_method(CHAT) == bot.class_method(chat_id=CHAT) == ("bot", CHAT)
    assert Bot.static_method(CHAT) == bot.static_method(CHAT) == ("static", CHAT)
    assert list(bot.generate(CHAT)) == [CHAT]
    assert inspect.ismethod(bot.method)
    assert inspect.iscoroutinefunction(bot.async_method)


def test_a_bound_method_and_a_builtin(source: FakeSource, typing_while: Any) -> None:
    """Decorated where they are used."""

    class Bot:
        def reply(self, chat_id: str) -> str:
            return _here(source)

    assert typing_while(Bot().reply)(CHAT) == CHAT
    assert typing_while(CHAT)(max)(1, 2) == 2


def test_a_partial_keeps_what_is_bound(source: FakeSource, typing_while: Any) -> None:
    """The chat id may be among the bound arguments, by position or by name, or among the call's."""

    def reply(chat_id: str, text: str, mark: str = "!") -> str:
        return f"{_here(source)} {text}{mark}"

    by_position = typing_while(functools.partial(reply, CHAT))
    by_name = typing_while(functools.partial(reply, chat_id=CHAT))
    open_ = typing_while(functools.partial(reply, mark="?"))
    nested = typing_while(functools.partial(functools.partial(reply, CHAT), "hi"))
    assert by_position("hi") == by_name(text="hi") == nested() == f"{CHAT} hi!"
    assert by_name(text="hi", chat_id=OTHER_CHAT) == f"{OTHER_CHAT} hi!"
    assert open_(CHAT, "hi") == f"{CHAT} hi?"
    assert by_position.__name__ == "reply"


@pytest.mark.parametrize("kind", ["coroutine", "generator", "async generator"])
def test_a_partial_of_another_kind_of_function_keeps_the_kind(source: FakeSource, typing_while: Any, kind: str) -> None:
    """The kind is the underlying function's."""

    async def coroutine(chat_id: str, text: str) -> str:
        return _here(source)

    def generator(chat_id: str, text: str) -> Iterator[str]:
        yield _here(source)

    async def async_generator(chat_id: str, text: str) -> AsyncIterator[str]:
        yield _here(source)

    if kind == "coroutine":
        decorated = typing_while(functools.partial(coroutine, text="x"))
        assert inspect.iscoroutinefunction(decorated)
        assert asyncio.run(decorated(CHAT)) == CHAT
    elif kind == "generator":
        decorated = typing_while(functools.partial(generator, text="x"))
        assert inspect.isgeneratorfunction(decorated)
        assert list(decorated(CHAT)) == [CHAT]
    else:
        decorated = typing_while(functools.partial(async_generator, text="x"))
        assert inspect.isasyncgenfunction(decorated)
        assert asyncio.run(_collect(decorated(CHAT))) == [CHAT]


class _Task:
    """As Celery's: an instance that is called."""

    def __call__(self, chat_id: str) -> None: ...


class _DescriptorTask(_Task):
    def __get__(self, instance: object, owner: object = None) -> Any:
        return functools.partial(self, instance)


@pytest.mark.parametrize(
    "thing",
    [
        _Task(),
        _Task,
        functools.partial(_Task()),
        classmethod(lambda cls, chat_id: None),
        staticmethod(lambda chat_id: None),
        property(lambda self: None),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_no_function_is_a_type_error_with_the_cure(typing_while: Any, thing: Any) -> None:
    """A Celery task, an instance, a class, another decorator's object: bare and with parentheses."""
    with pytest.raises(TypeError, match="put @typing_while underneath") as caught:
        typing_while(CHAT)(thing)
    assert type(thing).__name__ in str(caught.value)
    if callable(thing) or isinstance(thing, classmethod):
        with pytest.raises(TypeError, match="put @typing_while underneath"):
            typing_while(thing)


@pytest.mark.parametrize(
    "thing",
    [
        _DescriptorTask(),
        functools.partialmethod(lambda self, chat_id: None),
        functools.cached_property(lambda self: None),
        functools.singledispatchmethod(lambda self, chat_id: None),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_descriptor_is_a_type_error_too(typing_while: Any, thing: Any) -> None:
    """Wrapped as if they were functions, they would fail at the first call, or lose what they are for."""
    with pytest.raises(TypeError, match="put @typing_while underneath"):
        typing_while(CHAT)(thing)


# -- What stays


def _kinds(function: Any) -> dict[str, bool]:
    return {
        name: getattr(inspect, name)(function)
        for name in ("isfunction", "iscoroutinefunction", "isgeneratorfunction", "isasyncgenfunction")
    }


def plain(chat_id: str, /, text: "str" = "x", *args: int, flag: bool, **kwargs: str) -> int:
    """Documented."""
    return 1


async def coroutine(chat_id: str) -> None: ...


def generator(chat_id: str) -> Iterator[int]:
    yield 1


async def async_generator(chat_id: str) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [plain, coroutine, generator, async_generator])
def test_signature_name_and_kind_stay(typing_while: Any, function: Any) -> None:
    """Frameworks look at them: FastAPI at the signature, pytest at the name, everyone at the kind."""
    for decorated in (typing_while(function), typing_while(CHAT)(function)):
        assert _kinds(decorated) == _kinds(function)
        assert inspect.signature(decorated) == inspect.signature(function)
        for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__"):
            assert getattr(decorated, name) == getattr(function, name)
        assert decorated.__wrapped__ is function
        assert asyncio.iscoroutinefunction(decorated) == inspect.iscoroutinefunction(function) or (
            sys.version_info >= (3, 14)
        )


def test_attributes_of_the_function_stay(typing_while: Any) -> None:
    """As functools.wraps does it."""

    def function(chat_id: str) -> None: ...

    function.route = "/hook"  # type: ignore[attr-defined]
    assert typing_while(function).route == "/hook"


# -- Generators


def test_the_session_lasts_until_the_generator_is_exhausted(source: FakeSource, typing_while: Any) -> None:
    """From its first step on: a generator that nobody starts has no session."""

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        yield 1
        yield 2

    generator = stream(CHAT)
    assert source.sessions == []
    assert next(generator) == 1
    assert len(source.open_now) == 1
    assert next(generator) == 2
    assert len(source.open_now) == 1
    assert next(generator, "end") == "end"
    assert (source.open_now, source.lingers) == ([], [0.5])


def test_send_throw_and_the_return_value_pass_through(source: FakeSource, typing_while: Any) -> None:
    """yield from works on it as on the original."""
    log: list[object] = []

    @typing_while
    def echo(chat_id: str) -> Generator[object, object, str]:
        got: object = None
        while got != "end":
            try:
                got = yield got
            except KeyError as exc:
                got = exc
                log.append(exc)
        return "returned"

    generator, thrown = echo(CHAT), KeyError("k")
    assert next(generator) is None
    assert generator.send("a") == "a"
    assert generator.throw(thrown) is thrown
    assert log == [thrown]
    assert generator.send(None) is None
    with pytest.raises(StopIteration) as stop:
        generator.send("end")
    assert stop.value.value == "returned"
    assert source.open_now == []

    def outer() -> Generator[object, object, str]:
        return (yield from echo(CHAT))

    delegating = outer()
    next(delegating)
    assert delegating.send(1) == 1
    with pytest.raises(StopIteration) as stop:
        delegating.send("end")
    assert stop.value.value == "returned"


def test_what_is_thrown_and_not_caught_comes_out(source: FakeSource, typing_while: Any) -> None:
    """And ends the session at once."""
    closed = []

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(current_session())

    for thrown in (ValueError("v"), KeyboardInterrupt()):
        generator = stream(CHAT)
        next(generator)
        [session] = source.open_now
        with pytest.raises(type(thrown)) as caught:
            generator.throw(thrown)  # type: ignore[attr-defined]
        assert caught.value is thrown
        assert closed.pop() is session
    assert source.lingers == [0.0, 0.0]


def test_a_stop_iteration_inside_is_a_runtime_error_as_ever(source: FakeSource, typing_while: Any) -> None:
    """PEP 479 holds for the decorated one."""

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        yield 1
        raise StopIteration

    generator = stream(CHAT)
    next(generator)
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(generator)
    thrown_into = stream(CHAT)
    next(thrown_into)
    with pytest.raises(RuntimeError, match="StopIteration"):
        thrown_into.throw(StopIteration())  # type: ignore[attr-defined]
    assert source.open_now == []


def test_closing_a_generator_closes_the_original(source: FakeSource, typing_while: Any) -> None:
    """Its finally runs within the session, which ends then."""
    cleaned = []

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        try:
            yield 1
        finally:
            cleaned.append(_here(source))

    generator = stream(CHAT)
    next(generator)
    generator.close()  # type: ignore[attr-defined]
    generator.close()  # type: ignore[attr-defined]
    assert cleaned == [CHAT]
    assert source.open_now == []
    unstarted = stream(CHAT)
    unstarted.close()  # type: ignore[attr-defined]
    assert len(source.sessions) == 1


def test_a_generator_that_is_dropped_ends_its_session(source: FakeSource, typing_while: Any) -> None:
    """A loop that breaks leaves no indicator behind."""

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        yield 1
        yield 2

    for _ in stream(CHAT):
        break
    assert source.open_now == []


def test_a_generator_that_refuses_to_close_is_told_so(source: FakeSource, typing_while: Any) -> None:
    """Python's own RuntimeError."""

    @typing_while
    def stubborn(chat_id: str) -> Iterator[int]:
        with contextlib.suppress(GeneratorExit):
            yield 1
        yield 2

    generator = stubborn(CHAT)
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()  # type: ignore[attr-defined]
    generator.close()  # type: ignore[attr-defined]  # like the original, it was still running
    assert source.open_now == []


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close() returns a value since 3.13")
def test_close_returns_what_the_original_returns(typing_while: Any) -> None:
    """New in Python 3.13."""

    @typing_while
    def stream(chat_id: str) -> Generator[int, None, str]:
        try:
            yield 1
        except GeneratorExit:
            return "closed"
        return "exhausted"

    generator = stream(CHAT)
    next(generator)
    assert generator.close() == "closed"


def test_a_generator_exit_that_is_thrown_comes_out(source: FakeSource, typing_while: Any) -> None:
    """As with the original: throw() lets it out, only close() swallows it."""

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        yield 1

    generator = stream(CHAT)
    next(generator)
    with pytest.raises(GeneratorExit):
        generator.throw(GeneratorExit())  # type: ignore[attr-defined]
    assert source.open_now == []


def test_the_context_does_not_leak_between_a_generators_steps(source: FakeSource, typing_while: Any) -> None:
    """Inside, its session is current; outside, the caller's is, also between two interleaved generators."""

    @typing_while
    def stream(chat_id: str) -> Iterator[str]:
        for _ in range(3):
            session = current_session()
            assert session is not None
            yield session.chat_id

    with make_typing_while(source, CHAT) as outer:
        one, two = stream(CHAT), stream(OTHER_CHAT)
        for _ in range(3):
            assert next(one) == CHAT
            assert current_session() is outer
            assert next(two) == OTHER_CHAT
            assert current_session() is outer
    assert carried() == []


def test_a_block_inside_of_a_generator_is_there_again_at_its_next_step(source: FakeSource, typing_while: Any) -> None:
    """What the generator has put on the stack is its own business."""

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        with make_typing_while(source, OTHER_CHAT) as inner:
            yield 1
            assert current_session() is inner
            yield 2
        outer = current_session()
        assert outer is not None
        assert outer.chat_id == CHAT
        yield 3

    for _ in stream(CHAT):
        assert current_session() is None
    assert source.open_now == []


def test_other_context_variables_pass_through_a_generator(typing_while: Any) -> None:
    """Only the library's own stack is held back."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @typing_while
    def stream(chat_id: str) -> Iterator[int]:
        variable.set(1)
        yield variable.get()
        yield variable.get()

    generator = stream(CHAT)
    assert (next(generator), variable.get()) == (1, 1)
    variable.set(2)
    assert next(generator) == 2
    generator.close()  # type: ignore[attr-defined]


# -- Async generators


async def _collect(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


def test_the_session_lasts_until_the_async_generator_is_exhausted(source: FakeSource, typing_while: Any) -> None:
    """From its first step on."""

    @typing_while
    async def stream(chat_id: str) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        yield _here(source)
        yield _here(source)

    async def main() -> None:
        generator = stream(CHAT)
        assert source.sessions == []
        assert await generator.__anext__() == CHAT
        assert len(source.open_now) == 1
        assert current_session() is None
        assert await _collect(generator) == [CHAT]

    asyncio.run(main())
    assert (source.open_now, source.lingers) == ([], [0.5])


def test_asend_athrow_and_aclose_pass_through(source: FakeSource, typing_while: Any) -> None:
    """As with the original; the cleaning up runs within the session."""
    log: list[object] = []

    @typing_while
    async def echo(chat_id: str) -> AsyncGenerator[object, object]:
        got: object = None
        try:
            while True:
                try:
                    got = yield got
                except KeyError as exc:
                    got = exc
        finally:
            await asyncio.sleep(0)
            log.append(_here(source))

    async def main() -> None:
        generator, thrown = echo(CHAT), KeyError("k")
        assert await generator.__anext__() is None
        assert await generator.asend("a") == "a"
        assert await generator.athrow(thrown) is thrown
        await generator.aclose()
        await generator.aclose()
        assert (log, source.open_now) == ([CHAT], [])

        failing, raised = echo(CHAT), ValueError("v")
        await failing.__anext__()
        with pytest.raises(ValueError, match="v") as caught:
            await failing.athrow(raised)
        assert caught.value is raised
        assert (log, source.open_now) == ([CHAT, CHAT], [])
        await echo(CHAT).aclose()

    asyncio.run(main())
    assert len(source.sessions) == 2
    assert source.lingers[1] == 0.0


def test_an_async_generator_that_refuses_to_close_is_told_so(source: FakeSource, typing_while: Any) -> None:
    """Python's own RuntimeError."""

    @typing_while
    async def stubborn(chat_id: str) -> AsyncIterator[int]:
        with contextlib.suppress(GeneratorExit):
            yield 1
        yield 2

    async def main() -> None:
        generator = stubborn(CHAT)
        await generator.__anext__()
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            await generator.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert source.open_now == []


def test_a_cancelled_step_of_an_async_generator_ends_the_session(source: FakeSource, typing_while: Any) -> None:
    """Cancellation reaches the original's await, and passes."""

    @typing_while
    async def stream(chat_id: str) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(60)

    async def main() -> None:
        generator = stream(CHAT)
        await generator.__anext__()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(generator.__anext__(), 0.01)
        assert source.open_now == []

    asyncio.run(main())
    assert source.lingers == [0.0]


def test_an_async_generator_that_is_dropped_ends_its_session(source: FakeSource, typing_while: Any) -> None:
    """asyncio closes it, in another task and context than the steps ran in."""

    @typing_while
    async def stream(chat_id: str) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> None:
        async for _ in stream(CHAT):
            break
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.open_now == []

    asyncio.run(main())


def test_the_context_does_not_leak_between_an_async_generators_steps(source: FakeSource, typing_while: Any) -> None:
    """Also when each step runs in a task of its own."""

    @typing_while
    async def stream(chat_id: str) -> AsyncIterator[Any]:
        with make_typing_while(source, OTHER_CHAT) as inner:
            yield current_session()
            await asyncio.sleep(0)
            assert current_session() is inner
            yield current_session()
        yield current_session()

    async def main() -> None:
        with make_typing_while(source, CHAT) as outer:
            generator, seen = stream(CHAT), []
            for _ in range(3):
                seen.append((await asyncio.create_task(generator.__anext__())).chat_id)
                assert current_session() is outer
            assert seen == [OTHER_CHAT, OTHER_CHAT, CHAT]
            assert await _collect(generator) == []

    asyncio.run(main())
    assert source.open_now == []


def test_a_stop_async_iteration_inside_is_a_runtime_error_as_ever(typing_while: Any) -> None:
    """PEP 525 holds for the decorated one."""

    @typing_while
    async def stream(chat_id: str) -> AsyncIterator[int]:
        yield 1
        raise StopAsyncIteration

    with pytest.raises(RuntimeError, match="StopAsyncIteration"):
        asyncio.run(_collect(stream(CHAT)))


# -- Where the chat id comes from


def _opened(source: FakeSource) -> list[str]:
    return [session.chat_id for session in source.sessions]


def test_the_parameter_by_position_and_by_name(source: FakeSource, typing_while: Any) -> None:
    """Wherever it stands in the signature."""

    @typing_while
    def reply(text: str, chat_id: str, *rest: str) -> None: ...

    reply("hi", CHAT)
    reply("hi", CHAT, "more")
    reply("hi", chat_id=CHAT)
    reply(chat_id=UUID(CHAT), text="hi")
    assert _opened(source) == [CHAT] * 4


def test_a_parameter_of_another_name(source: FakeSource, typing_while: Any) -> None:
    """chat_id_from names it."""

    @typing_while(chat_id_from="chat")
    def reply(chat: str) -> None: ...

    reply(CHAT)
    assert _opened(source) == [CHAT]


def test_a_default_counts(source: FakeSource, typing_while: Any) -> None:
    """A call that leaves it out gets the default's chat."""

    @typing_while
    def reply(chat_id: str = CHAT, *, keyword: int = 0) -> None: ...

    reply()
    reply(keyword=1)
    reply(OTHER_CHAT)
    assert _opened(source) == [CHAT, CHAT, OTHER_CHAT]


def test_positional_only_and_keyword_only_parameters(source: FakeSource, typing_while: Any) -> None:
    """Both kinds, and a keyword of the same name beside a positional-only one."""

    @typing_while
    def positional(chat_id: str, /, **kwargs: str) -> None: ...

    @typing_while
    def keyword(*args: str, chat_id: str) -> None: ...

    positional(CHAT, chat_id="another thing")
    keyword("a", "b", chat_id=OTHER_CHAT)
    assert _opened(source) == [CHAT, OTHER_CHAT]


def test_the_chat_id_may_come_through_kwargs(source: FakeSource, typing_while: Any) -> None:
    """A function that takes **kwargs is not asked for the parameter."""

    @typing_while
    def reply(**kwargs: str) -> None: ...

    @typing_while(chat_id_from="event.id")
    def deep(**kwargs: Any) -> None: ...

    reply(chat_id=CHAT)
    deep(event={"id": OTHER_CHAT})
    assert _opened(source) == [CHAT, OTHER_CHAT]


def test_a_path_may_start_at_the_kwargs_parameter(source: FakeSource, typing_while: Any) -> None:
    """``kwargs`` is a parameter like any other, and a mapping."""

    @typing_while(chat_id_from="extra.chat")
    def reply(**extra: str) -> None: ...

    reply(chat=CHAT)
    assert _opened(source) == [CHAT]


class _Named(collections.UserDict[str, Any]):
    chat = "the attribute"


@pytest.mark.parametrize(
    "event",
    [
        {"data": {"chat": {"id": CHAT}}},
        types.SimpleNamespace(data=types.SimpleNamespace(chat=types.SimpleNamespace(id=UUID(CHAT)))),
        {"data": types.SimpleNamespace(chat={"id": CHAT})},
        types.SimpleNamespace(data=types.MappingProxyType({"chat": types.SimpleNamespace(id=CHAT)})),
        {"data": _Named(chat={"id": CHAT})},
    ],
)
def test_a_path_walks_mapping_keys_then_attributes(source: FakeSource, typing_while: Any, event: Any) -> None:
    """Dicts, any Mapping, objects, and mixtures; a key wins over an attribute of that name."""

    @typing_while(chat_id_from="event.data.chat.id")
    def reply(event: Any) -> None: ...

    reply(event)
    assert _opened(source) == [CHAT]


def test_of_several_paths_the_first_hit_wins(source: FakeSource, typing_while: Any) -> None:
    """Two payload versions, one handler; None is no hit."""

    @typing_while(chat_id_from=("event.chat_id", "event.chat.id"))
    def reply(event: dict[str, Any]) -> None: ...

    reply({"chat_id": CHAT, "chat": {"id": OTHER_CHAT}})
    reply({"chat": {"id": OTHER_CHAT}})
    reply({"chat_id": None, "chat": {"id": OTHER_CHAT}})
    assert _opened(source) == [CHAT, OTHER_CHAT, OTHER_CHAT]


def test_a_callable_gets_exactly_the_calls_arguments(source: FakeSource, typing_while: Any) -> None:
    """As they were given, self included, defaults not filled in."""
    seen: list[Any] = []

    def find(*args: Any, **kwargs: Any) -> UUID:
        seen.append((args, kwargs))
        return UUID(CHAT)

    class Bot:
        @typing_while(chat_id_from=find)
        def reply(self, text: str, mark: str = "!") -> None: ...

    bot = Bot()
    bot.reply("hi")
    bot.reply(text="hi", mark="?")
    assert seen == [((bot, "hi"), {}), ((bot,), {"text": "hi", "mark": "?"})]
    assert _opened(source) == [CHAT, CHAT]


def test_a_fixed_chat_id_wins_over_the_parameter(source: FakeSource, typing_while: Any) -> None:
    """And asks for no parameter."""

    @typing_while(OTHER_CHAT)
    def reply(chat_id: str) -> None: ...

    reply(CHAT)
    assert _opened(source) == [OTHER_CHAT]


@pytest.mark.parametrize("path", ["chat_id", "event.chat.id", ("text", "chat_id")])
def test_a_missing_parameter_is_told_when_decorating(typing_while: Any, path: Any) -> None:
    """The message names function, parameter and cure."""

    def reply(text: str) -> None: ...

    with pytest.raises(TypeError, match=r"reply\(text: str\).* has no parameter '(chat_id|event)'.*chat_id_from="):
        typing_while(chat_id_from=path)(reply)


@pytest.mark.parametrize("path", [5, None, ("a", 5), {"a"}])
def test_a_chat_id_from_of_another_type_is_a_type_error(typing_while: Any, path: Any) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(TypeError, match="chat_id_from must be") as caught:
        typing_while(chat_id_from=path)(plain)
    assert repr(path) in str(caught.value)


@pytest.mark.parametrize("path", ["", ".", "chat_id.", ".chat_id", "a..b", (), ("chat_id", "")])
def test_a_malformed_path_is_a_value_error(typing_while: Any, path: Any) -> None:
    """The message names the argument and shows the value."""
    with pytest.raises(ValueError, match="chat_id_from must be") as caught:
        typing_while(chat_id_from=path)(plain)
    assert repr(path) in str(caught.value)


class _Grumpy:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "value",
    [None, "", "nope", 5, b"x", {}, [CHAT], _Grumpy(), {"chat_id": CHAT}, float("nan")],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("kind", ["function", "coroutine", "generator", "async generator"])
def test_a_bad_id_at_run_time_costs_one_warning_and_no_reply(
    source: FakeSource, typing_while: Any, caplog: pytest.LogCaptureFixture, kind: str, value: Any
) -> None:
    """Exactly one, naming the function; the body runs, without a session."""

    @typing_while
    def function(chat_id: Any) -> list[Any]:
        return [current_session()]

    @typing_while
    async def coroutine(chat_id: Any) -> list[Any]:
        return [current_session()]

    @typing_while
    def generator(chat_id: Any) -> Iterator[Any]:
        yield current_session()

    @typing_while
    async def async_generator(chat_id: Any) -> AsyncIterator[Any]:
        yield current_session()

    result: Any
    if kind == "function":
        result = function(value)
    elif kind == "coroutine":
        result = asyncio.run(coroutine(value))
    elif kind == "generator":
        result = list(generator(value))
    else:
        result = asyncio.run(_collect(async_generator(value)))
    assert result == [None]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("linq_typing", logging.WARNING)
    assert kind.replace(" ", "_") in record.getMessage()
    assert source.sessions == []


@pytest.mark.parametrize("event", [{}, {"chat": {}}, {"chat": None}, {"chat": 5}, None, {"chat": {"id": None}}])
def test_a_path_that_leads_nowhere_is_one_warning(
    source: FakeSource, typing_while: Any, caplog: pytest.LogCaptureFixture, event: Any
) -> None:
    """The message says which path."""

    @typing_while(chat_id_from="event.chat.id")
    def reply(event: Any) -> str:
        return "replied"

    assert reply(event) == "replied"
    assert len(caplog.records) == 1
    assert "'event.chat.id'" in caplog.text
    assert source.sessions == []


def test_a_callable_that_raises_is_one_warning(
    source: FakeSource, typing_while: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The reply goes out all the same."""

    @typing_while(chat_id_from=lambda event: event["chat"]["id"])
    def reply(event: Any) -> str:
        return "replied"

    assert reply({}) == "replied"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert source.sessions == []


def test_a_call_with_wrong_arguments_is_the_functions_own_type_error(
    source: FakeSource, typing_while: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Python's message about the original, whatever the decorator could find."""

    @typing_while
    def reply(chat_id: str, text: str) -> None: ...

    with pytest.raises(TypeError, match=r"reply\(\) missing 1 required positional argument: 'text'"):
        reply(CHAT)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        reply(CHAT, "x", nonsense=1)
    assert source.open_now == []


def test_a_path_that_raises_is_no_hit(source: FakeSource, typing_while: Any) -> None:
    """First *hit* wins; a lazy attribute that can't be read is none."""

    class Event:
        chat_id = CHAT

        @property
        def chat(self) -> Any:
            raise KeyError("chat")

    @typing_while(chat_id_from=("event.chat.id", "event.chat_id"))
    def reply(event: Event) -> None: ...

    reply(Event())
    assert _opened(source) == [CHAT]
