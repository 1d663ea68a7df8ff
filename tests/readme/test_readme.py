"""Every Python block of README.md is run, against the sandbox on a real socket, and asks what README says it asks.

A block is run as it stands: `await` at the top level is allowed, and the names that it does not define itself
(`chat_id`, `slow_llm`, ...) are stand-ins. Each block has its line in `BLOCKS`.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import httpx
import pytest

import linq_typing
import linq_typing.testing
from linq_typing.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PATIENCE = 60.0  # seconds that guard against hanging

Names = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """A Python block of README."""

    heading: str
    code: str
    line: int

    def run(self, names: Names) -> None:
        result = eval(self._compiled(), names)
        if inspect.iscoroutine(result):
            asyncio.run(result)

    def _compiled(self) -> CodeType:
        code = "\n" * self.line + self.code  # so that a traceback shows README's line
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = compile(code, str(ROOT / "README.md"), "exec", flags=flags, dont_inherit=True)
        assert isinstance(compiled, CodeType)
        return compiled


def blocks_of(markdown: str) -> list[Block]:
    """The fenced Python blocks, each with the heading it stands under."""
    blocks, heading, lines = [], "", markdown.splitlines()
    for number, line in enumerate(lines, 1):
        if title := re.fullmatch(r"#+ (.*)", line):
            heading = title[1]
        if line == "```python":
            end = lines.index("```", number)
            blocks.append(Block(heading, "\n".join(lines[number:end]), number))
    return [block for block in blocks if block.code]


# What to do with a block's names after it was run, for those that only define something.


def nothing(names: Names) -> None:
    pass


def call_decorated(names: Names) -> None:
    """Each of the four functions, in a chat of its own."""
    chat, event = names["new_chat"], names["event_in"]
    assert asyncio.run(names["reply"](names["chat_id"], "hi")) == "hi, answered"
    assert names["on_event"](event(chat())) == "hello, answered"
    new, old = chat(), chat()
    assert names["on_any_event"](event(new)) == f"a message in {new}, answered"
    assert names["on_any_event"]({"data": {"chat_id": old}}) == f"a message in {old}, answered"
    assert names["on_job"](f"job:{chat()}")


def serve(names: Names) -> None:
    """A request to the web server, from its beginning to its shutdown."""
    app, chat = names["app"], names["chat_id"]

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, verify=False) as client:
            assert (await client.post(f"http://bot/jobs/{chat}")).status_code == 200

    asyncio.run(main())
    asyncio.run(main())  # a second lifespan


def call_handler(names: Names) -> None:
    """The stop has been answered when the handler returns."""
    names["handler"]({"chat_id": names["chat_id"], "text": "hi"}, None)
    assert [r.outcome for r in names["sandbox"].timeline(names["chat_id"]).stops] == ["answered"]


def run_task(names: Names) -> None:
    assert names["reply"](names["chat_id"], "hi") == "hi, answered"
    [shut_down] = names["celery_handlers"]
    shut_down(sender=None)
    assert len(names["sandbox"].timeline(names["chat_id"]).stops) == 1


def read_stream(names: Names) -> None:
    """The whole answer; for a reader who goes away see tests/behaviour/test_streaming.py."""

    async def main() -> None:
        transport = httpx.ASGITransport(names["app"])
        async with httpx.AsyncClient(transport=transport, verify=False) as client:
            answer = await client.get(f"http://bot/stream/{names['chat_id']}", params={"text": "hi"})
            assert answer.text == "hi, answered "

    asyncio.run(main())


def exits_on_sigterm(names: Names) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler)
    with pytest.raises(SystemExit):
        handler(signal.SIGTERM, None)


def counted(names: Names) -> None:
    assert (names["counts"]["started"], names["counts"]["stopped"]) == (1, 1)


def run_the_test(names: Names) -> None:
    """README's test of a bot; and it fails for a bot that does not answer."""
    with linq_typing.testing.sandbox() as linq:
        names["test_it_answers"](linq)
        names["reply"] = lambda chat_id, text: None
        with pytest.raises(AssertionError):
            names["test_it_answers"](linq)


Expected = tuple[str, str, Callable[[Names], None]]
"""A block's heading, what it asks of the API in `chat_id`, and what to do after it."""

BLOCKS: list[Expected] = [
    ("linq-typing", "start stop", nothing),
    ("With, async with", "start send", nothing),
    ("With, async with", "start send", nothing),
    ("Decorator", "start stop", call_decorated),
    ("Decorator", "start send start send", nothing),
    ("The session", "start stop start stop", nothing),
    ("Messages that you send", "start send", nothing),
    ("Messages that you send", "start send", nothing),
    ("Messages that you send", "start send", nothing),
    ("Webhooks", "", nothing),
    ("A manager of your own", "start send", nothing),
    ("Where it runs", "start stop start stop", serve),
    ("Where it runs", "", exits_on_sigterm),
    ("Where it runs", "start stop", call_handler),
    ("Where it runs", "start stop", run_task),
    ("Where it runs", "start stop", read_stream),
    ("Logs, events, numbers", "start stop", counted),
    ("Test your bot", "", run_the_test),
    ("Test your bot", "", nothing),
]


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the environment names."""
    for variable in ("LINQ_API_KEY", "LINQ_TYPING_ENABLED"):
        monkeypatch.delenv(variable, raising=False)
    with Sandbox() as made:
        for variable, value in made.env().items():
            monkeypatch.setenv(variable, value)
        yield made


@pytest.fixture
def names(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """The stand-ins; afterwards the process is as it was."""
    linq_typing.configure()
    handlers = fake_celery(monkeypatch)
    monkeypatch.setitem(sys.modules, "my_bot", SimpleNamespace(reply=my_reply))
    on_sigterm = signal.getsignal(signal.SIGTERM)
    yield {"__name__": "readme", "sandbox": sandbox, "celery_handlers": handlers, **stand_ins(sandbox)}
    signal.signal(signal.SIGTERM, on_sigterm)
    linq_typing.unwatch_all()
    linq_typing.close()


def shows(sandbox: Sandbox) -> bool:
    """Whether the current session's indicator shows since the latest request, and the library has had the answer."""
    session = linq_typing.current_session()
    assert session is not None
    requests = sandbox.timeline(session.chat_id).requests
    latest_is_start = bool(requests) and requests[-1].endpoint == "start"
    return latest_is_start and sandbox.visible(session.chat_id) and not session._engine.stats().in_flight


def stand_ins(sandbox: Sandbox) -> Names:
    """What README's readers have in their own programs. The models take as long as the indicator needs to show."""

    def slow_llm(text: str) -> str:
        assert sandbox.wait_until(lambda: shows(sandbox))
        return f"{text}, answered"

    async def llm(text: str) -> str:
        async def shown() -> None:
            while not shows(sandbox):  # noqa: ASYNC110 - what the sandbox shows sets no event
                await asyncio.sleep(0.005)

        await asyncio.wait_for(shown(), PATIENCE)
        return f"{text}, answered"

    def send(chat_id: str, text: str) -> bool:
        message = {"parts": [{"type": "text", "value": text}]}
        url = f"{sandbox.base_url}/v3/chats/{chat_id}/messages"
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        return httpx.post(url, json={"message": message}, headers=headers, timeout=PATIENCE, verify=False).is_success

    async def my_gateway(chat_id: str, text: str) -> bool:
        return await asyncio.to_thread(send, chat_id, text)

    def ask_a_person(draft: str) -> bool:
        chat = linq_typing.current_session().chat_id  # type: ignore[union-attr]
        return sandbox.wait_until(lambda: not sandbox.visible(chat))

    return {
        "chat_id": sandbox.chat(),
        "new_chat": sandbox.chat,
        "event_in": lambda chat: {"data": {"chat": {"id": chat}, "parts": [{"type": "text", "value": "hello"}]}},
        "event": {"event_type": "message.received", "data": {"direction": "inbound"}},
        "text": "hello",
        "slow_llm": slow_llm,
        "llm": llm,
        "my_gateway": my_gateway,
        "my_queue": SimpleNamespace(append=lambda job: send(*job)),
        "ask_a_person": ask_a_person,
        "base_url": sandbox.base_url,
        "api_key": sandbox.api_key,
    }


@linq_typing.typing_while
def my_reply(chat_id: str, text: str) -> None:
    """As much of a bot as README's test needs."""
    message = {"parts": [{"type": "text", "value": "It is on its way."}]}
    url = f"{os.environ['LINQ_API_V3_BASE_URL']}/v3/chats/{chat_id}/messages"
    headers = {"Authorization": f"Bearer {os.environ['LINQ_API_V3_API_KEY']}"}
    httpx.post(url, json={"message": message}, headers=headers, timeout=PATIENCE, verify=False).raise_for_status()


def fake_celery(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., None]]:
    """As much of Celery as README uses; returns where the signal's handlers are put."""
    handlers: list[Callable[..., None]] = []
    app = SimpleNamespace(task=lambda function: function)
    monkeypatch.setitem(sys.modules, "celery", SimpleNamespace(Celery=lambda name: app))
    shutdown = SimpleNamespace(connect=handlers.append)
    monkeypatch.setitem(sys.modules, "celery.signals", SimpleNamespace(worker_process_shutdown=shutdown))
    return handlers


FOUND = blocks_of(README)


def test_every_block_has_its_line() -> None:
    assert [block.heading for block in FOUND] == [heading for heading, *_ in BLOCKS]


@pytest.mark.parametrize(
    ("block", "expected"), list(zip(FOUND, BLOCKS, strict=False)), ids=[f"line {block.line}" for block in FOUND]
)
def test_block(
    block: Block, expected: tuple[str, str, Callable[[Names], None]], sandbox: Sandbox, names: Names
) -> None:
    _, shape, then = expected
    block.run(names)
    then(names)
    linq_typing.close()
    timeline = sandbox.timeline(names["chat_id"])
    assert " ".join(request.endpoint for request in timeline.requests) == shape
    landed = max((message.lands_at for message in timeline.messages), default=0.0)
    assert sandbox.wait_until(lambda: sandbox.now > landed)
    assert not sandbox.ghosts()


def test_the_first_block_is_near_the_top() -> None:
    assert FOUND[0].line <= 30


def test_lines_outside_of_tables_are_short() -> None:
    for number, line in enumerate(README.splitlines(), 1):
        assert line.startswith("|") or len(line) <= 125, f"README.md:{number}"


def test_options_table_has_every_option_and_its_default() -> None:
    """The defaults in README are those of the code."""
    manager = inspect.signature(linq_typing.TypingManager).parameters
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", README, re.MULTILINE))
    for name, parameter in manager.items():
        default = rows[name].strip("` s")
        if isinstance(parameter.default, (int, float)) and not isinstance(parameter.default, bool):
            assert float(default) == parameter.default, name
        else:
            assert default in (str(parameter.default), "environment", "True"), name


def test_shell_commands_do_their_own_set_up() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 ")]
    assert len(commands) == 2
    for command in commands:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e '.[")
        extra = command.split("'.[")[1].split("]")[0]
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()


def test_error_messages_in_readme_are_the_librarys() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/linq_typing").glob("*.py"))
    squeezed = re.sub(r'"\s*f?"', "", source)
    for text in re.findall(r"^\| `\w+: ([^`]+)`", README, re.MULTILINE):
        for part in filter(None, text.split("...")):
            pattern = re.escape(part.strip()).replace("'chat_id'", r"\{name!r\}")
            assert re.search(pattern, squeezed), text


def test_blocks_are_found() -> None:
    """The extraction itself: headings, languages, and blocks that hold `await`."""
    markdown = textwrap.dedent("""\
        # One
        ```bash
        ls
        ```
        ## Two
        ```python
        await go()
        ```
        """)
    assert blocks_of(markdown) == [Block("Two", "await go()", 6)]


def test_readme_speaks_of_files_that_exist() -> None:
    for name in re.findall(r"`([\w/.]+(?:\.md|\.py|/))`", README):
        assert name.startswith(".venv") or (ROOT / name).exists(), name
