"""The fixture `linq_sandbox`, in runs of pytest of their own."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from unittest import mock

import pytest

import linq_typing

from .kit import BOT, CONFTEST, PLUGIN

pytest_plugins = ["pytester"]


@pytest.fixture
def bot(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with a bot, whose environment points elsewhere."""
    monkeypatch.setenv("LINQ_API_V3_API_KEY", "the-real-key-of-the-bot")
    monkeypatch.setenv("LINQ_TYPING_ENABLED", "0")
    monkeypatch.delenv("LINQ_API_V3_BASE_URL", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(bot=BOT)
    return pytester


def run(pytester: pytest.Pytester, *arguments: str, plugins: Sequence[str] = ()) -> pytest.RunResult:
    loaded = [part for name in (PLUGIN, *plugins) for part in ("-p", name)]
    with mock.patch.dict(os.environ, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}):
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *loaded, *arguments, timeout=300)


def test_a_test_of_a_bot(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        def test_reply(linq_sandbox):
            from bot import reply
            chat = linq_sandbox.chat()
            reply(chat, "hello")
            assert [message.text for message in linq_sandbox.messages(chat)] == ["HELLO"]
    """)
    run(bot).assert_outcomes(passed=1)


def test_a_ghost_fails_the_test_and_the_text_says_why(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        import pytest

        @pytest.mark.linq_sandbox(shown_for=850)  # or else it is over on a busy machine
        def test_reply(linq_sandbox):
            from bot import send, start
            chat = linq_sandbox.chat()
            send(chat, "hi")
            assert linq_sandbox.wait_until(lambda: linq_sandbox.messages(chat)[0].lands_at < linq_sandbox.now)
            start(chat)
    """)
    result = run(bot)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines(
        [
            r"_* ERROR at teardown of test_reply _*",
            r"The typing indicator was left showing in a chat, although nothing is running: a ghost indicator\.",
            r"",
            r"Chat [0-9a-f-]{36} \(iMessage\):",
            r" +\d+\.\d s  \[   \]  #1   send   202        a message is on its way",
            r" +\d+\.\d s  \[   \]  the message arrives: 'hi'",
            r" +\d+\.\d s  \[\.\.\.\]  #2   start  204        the indicator shows",
            r" +\d+\.\d s  \[\.\.\.\]  now: still showing, for \d+ s more: a GHOST unless a bot is working",
            r"",
            r"Why: no stop came after start #2, nor a message that cleared the indicator\.",
            r"Fix: use typing_while, which also stops, instead of typing\.start\(\)",
        ],
        consecutive=True,
    )
    assert "_linq_typing_pytest.py" not in result.stdout.str()


def test_a_block_that_is_still_open_is_a_ghost_of_its_own_kind(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        from linq_typing import typing_while

        def test_reply(linq_sandbox):
            global block
            chat = linq_sandbox.chat()
            block = typing_while(chat)
            block.__enter__()
            assert linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat))

        def test_after_it(linq_sandbox):
            assert linq_sandbox.requests == ()
    """)
    result = run(bot)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["Why: a typing_while block is still open: the test ended before the bot did."])


@pytest.mark.parametrize("ending", ["assert False", "import pytest; pytest.skip('enough')", "raise SystemError('own')"])
def test_quiet_when_the_test_failed_by_itself(bot: pytest.Pytester, ending: str) -> None:
    bot.makepyfile(f"""
        def test_reply(linq_sandbox):
            from bot import start
            start(linq_sandbox.chat())
            {ending}
    """)
    result = run(bot)
    assert "ghost" not in result.stdout.str()
    assert result.parseoutcomes().keys() <= {"failed", "skipped"}


def test_a_late_stop_of_another_manager_is_waited_for(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        from linq_typing import TypingManager

        def test_reply(linq_sandbox):
            chat, manager = linq_sandbox.chat(), TypingManager()
            with manager.typing_while(chat):
                assert linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat))
    """)
    run(bot).assert_outcomes(passed=1)


def test_everything_is_restored(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        import os
        from linq_typing import _default

        before = dict(os.environ)

        def test_inside(linq_sandbox):
            from linq import LinqAPIV3
            client = LinqAPIV3()
            assert (client.api_key, str(client.base_url).rstrip("/")) == (linq_sandbox.api_key, linq_sandbox.base_url)
            assert os.environ["LINQ_TYPING_ENABLED"] == "1"
            assert "127.0.0.1" in os.environ["NO_PROXY"].split(",")
            assert linq_sandbox.base_url in repr(_default.default_manager())

        def test_outside():
            now = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
            assert now == {name: value for name, value in before.items() if name != "PYTEST_CURRENT_TEST"}
            assert "disabled" in repr(_default.default_manager())
    """)
    run(bot).assert_outcomes(passed=2)


def test_a_client_that_was_made_at_import_stays_good_and_watched(bot: pytest.Pytester) -> None:
    """The next sandbox has the same port, and its manager watches the clients that the last one watched."""
    bot.makepyfile("""
        import pytest
        from linq_typing._default import default_manager

        @pytest.mark.parametrize("number", range(3))
        def test_reply(linq_sandbox, number):
            import bot, linq_typing
            chat = linq_sandbox.chat()
            with linq_typing.typing_while(chat):
                assert linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat))
                accepted = {"accepted": 1}  # a start that is still in flight would cost a stop
                assert linq_sandbox.wait_until(lambda: default_manager().stats().requests == accepted)
                bot.send(chat, "hi")
            assert linq_typing.flush()
            assert [request.endpoint for request in linq_sandbox.timeline(chat).requests] == ["start", "send"]
    """)
    run(bot).assert_outcomes(passed=3)


def test_a_manager_made_at_import_talks_to_the_sandbox_too(bot: pytest.Pytester) -> None:
    """README's pattern for web servers: used before the test, in it and in the next one, in the sandbox's time."""
    bot.makepyfile(
        app="""
            from linq_typing import TypingManager

            manager = TypingManager(stop_delay=20)

            @manager.typing_while
            def work(chat_id, until):
                assert until()
        """,
        test_app="""
            import os, threading, time
            import pytest
            from app import manager, work

            with manager.typing_while("11111111-2222-4333-8444-555555555555"):
                pass

            @pytest.mark.parametrize("number", [1, 2])
            def test_work(linq_sandbox, number):
                chat = linq_sandbox.chat()
                work(chat, lambda: linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat)))
                assert repr(linq_sandbox.base_url) in repr(manager)
                assert manager._options.stop_delay == 2

            def test_outside():
                assert "api.linqapp.com" in repr(manager)
                assert manager._options.stop_delay == 20
        """,
    )
    run(bot).assert_outcomes(passed=3)


def test_a_manager_made_at_import_inside_a_test_is_pointed_at_the_next_sandbox(bot: pytest.Pytester) -> None:
    bot.makepyfile(
        app="from linq_typing import TypingManager; manager = TypingManager()",
        test_app="""
            import pytest

            @pytest.mark.parametrize("number", [1, 2])
            @pytest.mark.linq_sandbox(api_key="key-of-this-sandbox")
            def test_work(linq_sandbox, number):
                from app import manager
                chat = linq_sandbox.chat()
                with manager.typing_while(chat):
                    assert linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat))
        """,
    )
    run(bot).assert_outcomes(passed=2)


def test_a_manager_with_an_explicit_key_and_base_is_left_alone(bot: pytest.Pytester) -> None:
    bot.makepyfile(
        app="""
            from linq_typing import TypingManager
            manager = TypingManager(api_key="key-0123456789", base_url="http://127.0.0.1:9")
        """,
        test_app="""
            from app import manager

            def test_work(linq_sandbox):
                with manager.typing_while(linq_sandbox.chat()):
                    pass
                assert "127.0.0.1:9" in repr(manager)
                assert linq_sandbox.requests == ()
        """,
    )
    run(bot).assert_outcomes(passed=1)


def test_a_ghost_of_a_manager_made_at_import_is_found(bot: pytest.Pytester) -> None:
    bot.makepyfile(
        app="from linq_typing import TypingManager; manager = TypingManager()",
        test_app="""
            from app import manager

            def test_work(linq_sandbox):
                chat = linq_sandbox.chat()
                global block
                block = manager.typing_while(chat)
                block.__enter__()
                assert linq_sandbox.wait_until(lambda: linq_sandbox.visible(chat))
        """,
    )
    result = run(bot)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*typing_while block is still open*"])


def test_options_through_the_marker(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        import pytest

        @pytest.mark.linq_sandbox(time_scale=50, settle=40)
        def test_reply(linq_sandbox):
            from bot import send
            chat = linq_sandbox.chat()
            send(chat, "hi")
            message, = linq_sandbox.messages(chat)
            assert message.lands_at - message.accepted_at == pytest.approx(40)
            assert linq_sandbox.time_scale == 50
    """)
    run(bot, "--strict-markers").assert_outcomes(passed=1)


def test_with_xdist(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_reply(linq_sandbox, number):
            from bot import reply, start
            chat = linq_sandbox.chat()
            reply(chat, "hello")
            assert len(linq_sandbox.messages(chat)) == 1
            if number == 5:
                start(linq_sandbox.chat())
    """)
    result = run(bot, "-n", "2", plugins=["xdist"])
    result.assert_outcomes(passed=8, errors=1)
    result.stdout.fnmatch_lines(["The typing indicator was left showing in a chat*", "Fix: *"])


@pytest.mark.skipif(importlib.util.find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed here")
def test_with_pytest_asyncio(bot: pytest.Pytester) -> None:
    bot.makepyfile("""
        import asyncio
        import pytest
        from linq import AsyncLinqAPIV3
        from linq_typing import typing_while, watch

        @typing_while
        async def reply(chat_id, client, is_shown):
            while not is_shown():
                await asyncio.sleep(0.01)
            await client.chats.messages.send(chat_id, message={"parts": [{"type": "text", "value": "hi"}]})

        @pytest.mark.asyncio
        async def test_reply(linq_sandbox):
            chat = linq_sandbox.chat()
            async with watch(AsyncLinqAPIV3()) as client:
                await reply(chat, client, lambda: linq_sandbox.visible(chat))
            assert linq_sandbox.timeline(chat).starts
            assert len(linq_sandbox.messages(chat)) == 1

        @pytest.mark.asyncio
        async def test_task_that_is_cancelled_with_its_loop(linq_sandbox):
            async def work(chat):
                async with typing_while(chat):
                    await asyncio.sleep(60)

            chat = linq_sandbox.chat()
            task = asyncio.create_task(work(chat))
            while not linq_sandbox.visible(chat):
                await asyncio.sleep(0.01)

        @pytest.mark.asyncio
        async def test_ghost(linq_sandbox):
            async with AsyncLinqAPIV3() as client:
                await client.chats.typing.start(linq_sandbox.chat())

        @pytest.mark.asyncio
        async def test_failed(linq_sandbox):
            async with AsyncLinqAPIV3() as client:
                await client.chats.typing.start(linq_sandbox.chat())
            assert False
    """)
    result = run(bot, "-o", "asyncio_default_fixture_loop_scope=function", plugins=["pytest_asyncio.plugin"])
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_ghost*", "Why: no stop came after start #1*"])


def test_without_the_extra_only_the_fixture_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['starlette'] = None")
    pytester.makepyfile("""
        def test_with(linq_sandbox):
            pass

        def test_without():
            pass
    """)
    result = run(pytester)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.re_match_lines([r'.*linq_sandbox can\'t be used: .*pip install "linq-typing\[sandbox\]"'])


def test_a_run_without_the_fixture_does_not_import_the_sandbox(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_light():
            assert not {"starlette", "uvicorn", "linq_typing.testing", "linq_typing.sandbox"} & sys.modules.keys()
    """)
    run(pytester).assert_outcomes(passed=1)


def test_the_entry_point_is_registered() -> None:
    found = {entry.value for entry in entry_points(group="pytest11") if entry.name == "linq_typing"}
    if not found:
        pytest.skip("installed without the entry point")
    assert found == {PLUGIN}


def test_the_plugin_imports_only_pytest() -> None:
    """Anything else would be imported before coverage starts."""
    tree = ast.parse((Path(linq_typing.__file__).parent.parent / "_linq_typing_pytest.py").read_text())
    found = {ast.unparse(node) for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))}
    assert found == {
        "from __future__ import annotations",
        "from collections.abc import Iterator",
        "from typing import TYPE_CHECKING, Any",
        "import pytest",
    }


def test_the_fixture_and_the_marker_are_documented(pytester: pytest.Pytester) -> None:
    assert re.search(r"linq_sandbox -- .*\n +A local Linq", run(pytester, "--fixtures").stdout.str())
    run(pytester, "--markers").stdout.fnmatch_lines(["@pytest.mark.linq_sandbox(time_scale=10*"])
