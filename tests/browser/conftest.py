"""A real browser, and a sandbox and a bot as their users start them: as processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser_kit import end, exports, free_port, start, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
WORK = 1.0  # seconds that the bot's model takes

#: The last ones keep it from talking to anybody but the sandbox.
FLAGS = [
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Stage:
    """A sandbox, with a bot behind its webhook."""

    url: str
    env: dict[str, str]

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}sandbox/state").json()
        return found

    def act(self, action: str, **fields: object) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}sandbox/{action}", json=fields)
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def typing(self, method: str, chat: str) -> int:
        """A typing request, as a bot would send it."""
        headers = {"Authorization": f"Bearer {self.env['LINQ_API_V3_API_KEY']}"}
        url = f"{self.env['LINQ_API_V3_BASE_URL']}/v3/chats/{chat}/typing"
        return httpx.request(method, url, headers=headers).status_code


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
def stage(browser: object) -> Iterator[Stage]:
    """One for all tests; each takes a chat of its own."""
    pytest.importorskip("fastapi", reason="the bot of the example needs fastapi")
    bot_port = free_port()
    options = ("--port", "0", "--webhook", f"http://127.0.0.1:{bot_port}/webhook", "--settle", "0.5")
    sandbox = start("-m", "linq_typing", "sandbox", *options)
    try:
        env = exports(sandbox)
        bot = start(str(EXAMPLES / "webhook_bot.py"), **env, PORT=str(bot_port), FAKE_LLM_SECONDS=str(WORK))
        try:
            wait_for(bot_port)
            yield Stage(env["LINQ_API_V3_BASE_URL"].removesuffix("api/partner"), env)
        finally:
            end(bot)
    finally:
        end(sandbox)


@pytest.fixture
def errors() -> list[str]:
    return []


@pytest.fixture
def page(browser: Any, stage: Stage, errors: list[str]) -> Iterator[Any]:
    """The page, at a new chat; whatever it complains of in its console fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(10_000)
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
