"""The page in a real Chromium: what a person at the sandbox sees and does."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest


def say(page: Any, text: str) -> None:
    page.get_by_label("Message, as the person").fill(text)
    page.keyboard.press("Enter")


def typing(page: Any) -> Any:
    return page.locator("#typing")


def until(page: Any, expression: str) -> None:
    """Playwright's own wait needs `eval` in the page, which the page forbids."""
    deadline = time.monotonic() + 10
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def talk(page: Any) -> list[str]:
    """The bubbles of the conversation."""
    return [bubble.rsplit(": ", 1)[-1] for bubble in page.locator(".msg").all_text_contents()]


def test_the_person_writes_and_watches_the_bot_type_and_answer(page: Any, stage: Any, chat: str) -> None:
    say(page, "Is this thing on?")
    page.locator(".msg.mine", has_text="Is this thing on?").wait_for()
    typing(page).wait_for()
    left = re.search(r"(\d+) s left", typing(page).inner_text())
    assert left is not None
    assert 70 < int(left[1]) <= 86
    assert page.locator(".msg:not(.mine)").count() == 0, "no answer yet"
    page.locator(".msg:not(.mine)", has_text="You said: Is this thing on?").wait_for()
    assert typing(page).count() == 0, "it goes as the message lands"
    [record] = [c for c in stage.state["chats"] if c["id"] == chat]
    assert (record["starts"], record["stops"], record["sends"]) == (1, 0, 1)


def test_the_requests_and_the_timeline_tell_what_happened(page: Any, stage: Any, chat: str) -> None:
    page.locator("#one").click()
    say(page, "Hello")
    page.locator(".msg:not(.mine)").wait_for()
    rows = page.locator("#requests tr")
    assert rows.count() == 3
    told = [" ".join(text.split()) for text in rows.all_inner_texts()]
    assert "send" in told[0]
    assert "202" in told[0]
    assert "the indicator appears" in told[1]
    assert "204" in told[1]
    assert "message.received" in told[2]
    assert "the bot has it" in told[2]
    row = page.locator(f".row[data-chat='{chat}']")
    assert row.locator(".show").count() == 1
    assert row.locator(".mark.start").count() == 1
    assert row.locator(".mark.stop").count() == 0
    assert row.locator(".mark.bot").count() == 1
    assert row.locator(".mark.person").count() == 1


def test_a_reload_loses_nothing(page: Any, stage: Any, chat: str) -> None:
    say(page, "Remember this")
    typing(page).wait_for()
    page.reload()
    typing(page).wait_for()
    page.locator(".msg.mine", has_text="Remember this").wait_for()
    page.locator(".msg:not(.mine)").wait_for()
    before = talk(page)
    page.reload()
    page.locator(".msg:not(.mine)").wait_for()
    assert talk(page) == before == ["Remember this", "Remember this"]
    assert page.url.endswith(chat)


def test_reopening_drops_the_indicator_and_is_told(page: Any, stage: Any, chat: str) -> None:
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    page.get_by_role("button", name="Re-open this chat").click()
    typing(page).wait_for(state="detached")
    page.get_by_text("Re-opened: a start alone does not bring the dots back").wait_for()
    assert stage.typing("POST", chat) == 204
    assert stage.typing("DELETE", chat) == 204
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()


def test_sms_and_groups_are_marked(page: Any, stage: Any, chat: str) -> None:
    page.get_by_label("Service").select_option("SMS")
    page.locator("#name .tag", has_text="SMS").wait_for()
    assert stage.typing("POST", chat) == 204
    page.get_by_text("nothing: SMS shows no indicator").first.wait_for()
    assert typing(page).count() == 0
    page.get_by_label("Service").select_option("iMessage")
    page.get_by_label("Group", exact=True).check()
    page.locator("#name .tag", has_text="Group").wait_for()
    page.get_by_label("Refuse typing").check()
    page.get_by_text("This chat refuses typing requests").wait_for()
    assert stage.typing("POST", chat) == 403


def test_the_api_is_made_to_fail_and_the_bot_tries_again(page: Any, stage: Any) -> None:
    page.get_by_role("button", name="Fail (500)").click()
    page.get_by_text("typing: 500 · 1 to go").wait_for()
    say(page, "Still there?")
    page.locator("#requests .code.bad", has_text="500").first.wait_for()
    typing(page).wait_for()
    assert page.locator("#faults li").count() == 0, "used up"
    page.locator(".msg:not(.mine)").wait_for()


def test_a_ghost_is_marked(page: Any, stage: Any, chat: str) -> None:
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    stage.act("set", time_scale=50)
    try:
        page.locator(f".row[data-chat='{chat}'] .show.ghost").wait_for()
        assert typing(page).count() == 0
    finally:
        stage.act("set", time_scale=1)


def test_a_narrow_window_shows_one_thing_at_a_time(page: Any, stage: Any) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    for tab, there, gone in [
        ("Phone", "#say", "#bands"),
        ("Timeline", "#bands", "#say"),
        ("Requests", "#requests", "#bands"),
        ("Controls", "#service", "#requests"),
    ]:
        page.locator("#tabs").get_by_role("button", name=tab).click()
        page.locator(there).wait_for(state="attached" if there == "#requests" else "visible")
        page.locator(gone).wait_for(state="hidden")
        assert page.evaluate("document.documentElement.scrollWidth") == 375, f"{tab} scrolls sideways"
    page.locator("#tabs").get_by_role("button", name="Phone").click()
    say(page, "On a small screen")
    typing(page).wait_for()
    box = typing(page).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 700


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_follows_the_colour_scheme(page: Any, scheme: str, dark: bool) -> None:
    page.emulate_media(color_scheme=scheme)
    for selector, variable in [("body", "backgroundColor"), (".card", "backgroundColor")]:
        colour = page.eval_on_selector(selector, f"node => getComputedStyle(node).{variable}")
        brightness = sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
        assert (brightness < 80) == dark, (selector, colour)


def test_the_keyboard_alone_is_enough(page: Any, stage: Any, chat: str) -> None:
    keyboard = page.keyboard
    keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "say"
    keyboard.type("No mouse, and j k r n f m mean letters here?")
    keyboard.press("Enter")
    page.locator(".msg.mine", has_text="mean letters here?").wait_for()
    typing(page).wait_for()
    keyboard.press("Escape")
    keyboard.press("r")
    typing(page).wait_for(state="detached")
    keyboard.press("Escape")  # all chats
    page.get_by_role("heading", name="Messages").wait_for()
    assert page.evaluate("document.activeElement.closest('#chats') !== null")
    keyboard.press("n")
    until(page, "document.activeElement.id === 'say'")
    assert not page.url.endswith(chat), "a new chat, ready to write in"
    keyboard.press("Escape")
    keyboard.press("k")
    until(page, f"location.hash === '#{chat}'")
    keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")


def test_everything_has_a_name_and_changes_are_announced(page: Any, stage: Any, chat: str) -> None:
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select")].filter(node => {
            const labels = [...(node.labels || [])].map(label => label.textContent).join("");
            return !(node.getAttribute("aria-label") || labels || node.textContent).trim();
        }).map(node => node.outerHTML)"""
    )
    assert nameless == []
    assert page.get_by_role("log").get_attribute("aria-live") in ("polite", "off")
    stage.typing("POST", chat)
    until(page, "document.getElementById('spoken').textContent.startsWith('The bot is typing')")
    stage.typing("DELETE", chat)
    until(page, "document.getElementById('spoken').textContent === 'Typing has stopped'")


def test_the_stream_comes_back_by_itself(page: Any, stage: Any, chat: str) -> None:
    page.context.set_offline(True)
    stage.act("write", chat=chat, text="Said meanwhile")
    page.context.set_offline(False)
    page.locator(".msg.mine", has_text="Said meanwhile").wait_for()
    time.sleep(0.1)
    assert talk(page).count("Said meanwhile") == 1
