"""A real browser, and a sandbox and a bot as their users start them: as processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ports import reserved_port

from .kit import BOT, Stage, end, exports, start, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"

#: The last ones keep it from making requests of its own.
FLAGS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")  # not for the session: its event loop would count as running in the tests that follow
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("no chromium here: apt-get install chromium")
    reason = "no playwright here: pip install playwright"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stage(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all tests; each uses a chat of its own."""
    pytest.importorskip("fastapi", reason="the bot of the example needs fastapi")
    with reserved_port() as bot_port:
        yield from staged(bot_port, tmp_path_factory.mktemp("bot") / "hold")


def staged(bot_port: int, hold: Path) -> Iterator[Stage]:
    options = ("--port", "0", "--webhook", f"http://127.0.0.1:{bot_port}/webhook", "--settle", "0.5")
    sandbox = start("-m", "linq_typing", "sandbox", *options)
    try:
        env = exports(sandbox)
        bot = start("-c", BOT, str(EXAMPLES / "webhook_bot.py"), **env, PORT=str(bot_port), HOLD=str(hold))
        try:
            wait_for(bot_port)
            yield Stage(env["LINQ_API_V3_BASE_URL"].removesuffix("api/partner"), env, hold)
        finally:
            end(bot)
    finally:
        end(sandbox)


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def page(browser: Any, stage: Stage, errors: list[str]) -> Iterator[Any]:
    """The page, at a new chat. An error in its console fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    chat = stage.act("new-chat")["chat"]
    page.goto(f"{stage.url}#{chat}")
    page.get_by_text("live", exact=True).wait_for()
    page.locator("#env span").first.wait_for()  # the state has arrived
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def chat(page: Any) -> str:
    """The chat that the page shows."""
    return str(page.url.partition("#")[2])
