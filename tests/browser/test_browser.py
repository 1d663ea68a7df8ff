"""The page in a real Chromium: what a person at the sandbox sees and does."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import httpx
import pytest

from linq_typing.sandbox import Sandbox
from ports import reserved_port

from .kit import Stage, end, exports, start


def say(page: Any, text: str) -> None:
    page.get_by_label("Message, as the person").fill(text)
    page.keyboard.press("Enter")


def typing(page: Any) -> Any:
    return page.locator("#typing")


def until(page: Any, expression: str) -> None:
    """Playwright's own wait needs `eval` in the page, which the page forbids."""
    deadline = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(20)


def talk(page: Any) -> list[str]:
    """The bubbles of the conversation."""
    return [bubble.rsplit(": ", 1)[-1] for bubble in page.locator(".msg").all_text_contents()]


def test_the_person_writes_and_watches_the_bot_type_and_answer(page: Any, stage: Stage, chat: str) -> None:
    with stage.bot_at_work():
        say(page, "Is this thing on?")
        page.locator(".msg.mine", has_text="Is this thing on?").wait_for()
        typing(page).wait_for()
        left = re.search(r"(\d+) s left", typing(page).inner_text())
        assert left is not None
        assert 0 < int(left[1]) <= 86
        assert page.locator(".msg:not(.mine)").count() == 0, "no answer yet"
    page.locator(".msg:not(.mine)", has_text="You said: Is this thing on?").wait_for()
    assert typing(page).count() == 0, "it ends as the message lands"
    [record] = [c for c in stage.state["chats"] if c["id"] == chat]
    assert (record["starts"], record["stops"], record["sends"]) == (1, 0, 1)


def test_the_requests_and_the_timeline_show_what_happened(page: Any, stage: Stage, chat: str) -> None:
    page.locator("#one").click()
    with stage.bot_at_work():
        say(page, "Hello")
        typing(page).wait_for()
    page.locator(".msg:not(.mine)").wait_for()
    rows = page.locator("#requests tr")
    rows.get_by_text("delivered to the bot").nth(2).wait_for()
    told = [" ".join(text.split()) for text in rows.all_inner_texts()]
    assert len(told) == 5
    for row, (what, status, effect) in zip(
        told,
        [
            ("message.delivered", "204", "delivered to the bot"),
            ("message.sent", "204", "delivered to the bot"),
            ("send", "202", "a message is on its way"),
            ("start", "204", "the indicator shows"),
            ("message.received", "204", "delivered to the bot"),
        ],
        strict=True,
    ):
        assert what in row
        assert status in row
        assert effect in row
    kinds = page.get_by_role("group", name="Requests or webhooks")
    kinds.get_by_role("button", name="Webhooks").click()
    assert rows.count() == 3
    kinds.get_by_role("button", name="Requests").click()
    assert rows.count() == 2
    kinds.get_by_role("button", name="Both").click()
    assert rows.count() == 5
    row = page.locator(f".row[data-chat='{chat}']")
    assert row.locator(".show").count() == 1
    assert row.locator(".mark.start").count() == 1
    assert row.locator(".mark.stop").count() == 0
    assert row.locator(".mark.bot").count() == 1
    assert row.locator(".mark.person").count() == 1


def test_a_reload_loses_nothing(page: Any, stage: Stage, chat: str) -> None:
    with stage.bot_at_work():
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


def send_as_colleague(page: Any, text: str) -> None:
    page.get_by_label("Message, as a colleague").fill(text)
    page.get_by_role("button", name="Send as a colleague").click()


def read_events(stage: Stage, chat: str) -> list[str]:
    """The chat's webhooks about reading."""
    webhooks = stage.state.get("webhooks", [])
    return [webhook["event"] for webhook in webhooks if webhook["chat"] == chat and webhook["event"] == "message.read"]


def test_a_colleague_sends_and_the_indicator_is_cleared(page: Any, stage: Stage, chat: str) -> None:
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    send_as_colleague(page, "I'll take over")
    page.locator(".msg.colleague", has_text="I'll take over").wait_for()
    assert typing(page).count() == 0
    page.locator("#requests tr", has_text="message.sent").first.wait_for()
    page.get_by_label("Message, as a colleague").fill("And I")
    page.get_by_label("Message, as a colleague").press("Enter")
    page.locator(".msg.colleague", has_text="And I").wait_for()
    assert page.locator(f".row[data-chat='{chat}'] .mark.colleague").count() == 2


def test_reopening_drops_the_indicator_while_a_message_is_unread_and_says_so(
    page: Any, stage: Stage, chat: str
) -> None:
    reopen = page.get_by_role("button", name="Re-open this chat")
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    watch(page, "#toast")  # it is shown for 5 s
    reopen.click()
    until(page, "told['#toast'].includes('No message was unread: the dots stay.')")
    assert typing(page).count() == 1
    for number in range(2):
        send_as_colleague(page, f"Part {number}")
        page.locator(".msg", has_text=f"Part {number}").wait_for()
    page.get_by_text("Unread until you re-open the chat").wait_for()
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    reopen.click()
    typing(page).wait_for(state="detached")
    page.get_by_text("Read by you").wait_for()
    page.get_by_text("Re-opened: a start alone does not bring the dots back").wait_for()
    assert read_events(stage, chat) == ["message.read"] * 2
    assert stage.typing("POST", chat) == 204
    assert stage.typing("DELETE", chat) == 204
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()


def test_a_message_is_accepted_and_never_sent(page: Any, stage: Stage, chat: str) -> None:
    page.get_by_role("button", name="Accept messages, never send them").click()
    page.get_by_text("send: accepted, never sent · 1 remaining").wait_for()
    with stage.bot_at_work():
        say(page, "Are you there?")
        typing(page).wait_for()
    page.locator("#requests tr", has_text="message.failed").get_by_text("delivered to the bot").wait_for()
    page.locator(f".row[data-chat='{chat}'] .mark.undelivered").wait_for()
    assert page.locator(".msg:not(.mine)").count() == 0
    assert page.locator("#faults li").count() == 0, "used up"
    typing(page).wait_for(state="detached")  # by a stop of the bot, which observes the webhook
    shapes = [request["endpoint"] for request in stage.state["requests"] if request["chat"] == chat]
    assert shapes == ["start", "send", "stop"]


def test_webhooks_are_repeated_reordered_and_delayed(page: Any, stage: Stage, chat: str) -> None:
    page.locator("#one").click()
    page.get_by_role("button", name="Deliver after the next one").click()
    page.get_by_text("webhooks: after the next one · 1 remaining").wait_for()
    page.locator("#event").select_option("message.delivered")
    page.get_by_role("button", name="Deliver twice").click()
    page.get_by_text("message.delivered: 2 times · 1 remaining").wait_for()
    send_as_colleague(page, "Hello")
    done = page.locator("#requests tr").get_by_text("delivered to the bot")
    done.nth(2).wait_for()
    told = sorted((webhook["id"], webhook["event"]) for webhook in stage.state["webhooks"] if webhook["chat"] == chat)
    assert [event for _, event in told] == ["message.sent", "message.delivered", "message.delivered"]
    page.get_by_role("button", name="Delay (10 s)").click()
    page.get_by_text("message.delivered: 10 s late · 1 remaining").wait_for()
    stage.act("clear-faults")
    stage.act("delay-webhooks", seconds=600, event="message.delivered", times=1)
    send_as_colleague(page, "Hello again")
    late = page.locator("#requests tr", has_text="message.delivered").first
    late.get_by_text("on its way").wait_for()
    stage.act("set", time_scale=500)
    try:
        late.get_by_text("delivered to the bot").wait_for()
    finally:
        stage.act("set", time_scale=1)
    assert page.locator("#faults li").count() == 0


def test_a_webhook_that_the_bot_refuses_is_tried_again(page: Any) -> None:
    awake = threading.Event()

    def bot(body: str) -> None:
        if not awake.is_set():
            raise RuntimeError("the bot is asleep")

    with Sandbox(webhook=bot) as linq:
        chat = linq.chat()
        page.goto(f"{linq.url}#{chat}")
        page.get_by_text("live", exact=True).wait_for()
        linq.write(chat)
        row = page.locator("#requests tr").first
        row.get_by_text(re.compile(r"the bot is asleep.*: again at 0:\d\d\.\d")).wait_for()
        awake.set()
        linq.time_scale = 20
        row.get_by_text(re.compile(r"delivered to the bot \(attempt \d\)")).wait_for()
        page.goto("about:blank")  # losing the sandbox would be an error in the console


def test_sms_and_groups_are_marked(page: Any, stage: Stage, chat: str) -> None:
    page.get_by_label("Service").select_option("SMS")
    page.locator("#name .tag", has_text="SMS").wait_for()
    assert stage.typing("POST", chat) == 204
    page.get_by_text("changes nothing: SMS shows no indicator").first.wait_for()
    assert typing(page).count() == 0
    page.get_by_label("Service").select_option("iMessage")
    page.get_by_label("Group", exact=True).check()
    page.locator("#name .tag", has_text="Group").wait_for()
    page.get_by_label("Refuse typing").check()
    page.get_by_text("This chat refuses typing requests").wait_for()
    assert stage.typing("POST", chat) == 403


def test_the_api_is_made_to_fail_and_the_bot_tries_again(page: Any, stage: Stage) -> None:
    page.get_by_role("button", name="Fail (500)").click()
    page.get_by_text("typing: 500 · 1 remaining").wait_for()
    with stage.bot_at_work():
        say(page, "Still there?")
        page.locator("#requests .code.bad", has_text="500").first.wait_for()
        typing(page).wait_for()
        assert page.locator("#faults li").count() == 0, "used up"
    page.locator(".msg:not(.mine)").wait_for()


def test_a_ghost_is_marked(page: Any, stage: Stage, chat: str) -> None:
    assert stage.typing("POST", chat) == 204
    typing(page).wait_for()
    stage.act("set", time_scale=50)
    try:
        page.locator(f".row[data-chat='{chat}'] .show.ghost").wait_for()
        assert typing(page).count() == 0
    finally:
        stage.act("set", time_scale=1)


def test_a_narrow_window_shows_one_thing_at_a_time(page: Any, stage: Stage) -> None:
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
    with stage.bot_at_work():
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


def test_the_keyboard_alone_is_enough(page: Any, stage: Stage, chat: str) -> None:
    keyboard = page.keyboard
    keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "say"
    keyboard.type("No mouse, and j k r n f x mean letters here?")
    with stage.bot_at_work():
        keyboard.press("Enter")
        page.locator(".msg.mine", has_text="mean letters here?").wait_for()
        typing(page).wait_for()
        keyboard.press("Escape")
        keyboard.press("h")
        page.locator(".msg.colleague").wait_for()
        assert typing(page).count() == 0
        keyboard.press("r")
        page.get_by_text("Read by you").wait_for()
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


def test_everything_has_a_name_and_changes_are_announced(page: Any, stage: Stage, chat: str) -> None:
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


def test_the_stream_comes_back_by_itself(page: Any, stage: Stage, chat: str) -> None:
    with stage.bot_at_work():
        page.context.set_offline(True)
        stage.act("write", chat=chat, text="Said meanwhile")
        page.context.set_offline(False)
        page.locator(".msg.mine", has_text="Said meanwhile").wait_for()
        assert talk(page) == ["Said meanwhile"]


# -- What is where


def middle(box: Any) -> float:
    return float(box["x"] + box["width"] / 2)


def watch(page: Any, selector: str) -> None:
    """Record in `told[selector]` every text that the element shows from now on, however briefly."""
    page.evaluate(
        """selector => {
            const node = document.querySelector(selector), texts = [];
            window.told = {...window.told, [selector]: texts};
            const observer = new MutationObserver(() => node.hidden || texts.push(node.textContent));
            observer.observe(node, {attributes: true, childList: true, subtree: true});
        }""",
        selector,
    )


def make_chats(stage: Stage, total: int) -> int:
    """Create chats until there are `total`. Returns how many there are."""
    for _ in range(total - len(stage.state["chats"])):
        stage.act("new-chat")
    return len(stage.state["chats"])


def test_the_requests_are_seen_without_scrolling(page: Any, stage: Stage, chat: str) -> None:
    """On a small laptop, with many chats and a fault."""
    page.set_viewport_size({"width": 1280, "height": 800})
    make_chats(stage, 14)
    stage.act("fail", endpoint="send", times=1)
    for method in ("POST", "DELETE", "POST", "DELETE"):
        stage.typing(method, chat)
    page.locator("#fault-bar").wait_for()
    page.locator("#requests tr").nth(3).wait_for()
    box = page.locator("#requests tr").nth(3).bounding_box()
    stage.act("clear-faults")
    assert page.evaluate("scrollY") == 0
    assert box["y"] + box["height"] <= 800
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (768, 1024), (390, 844)])
def test_how_to_point_a_bot_at_it_comes_first_and_is_copied_with_the_keyboard(
    page: Any, stage: Stage, width: int, height: int
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_viewport_size({"width": width, "height": height})
    box = page.locator("#env").bounding_box()
    assert box["y"] + box["height"] < height / 3
    expected = "\n".join(f"export {name}={value}" for name, value in stage.env.items())
    assert page.locator("#env").inner_text() == expected
    watch(page, "[data-copy=env]")
    watch(page, "#spoken")
    page.locator("#help").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(page, "told['[data-copy=env]'].includes('Copied the environment variables')")
    until(page, "told['#spoken'].includes('Copied the environment variables')")
    assert page.evaluate("navigator.clipboard.readText()") == expected
    page.get_by_role("button", name="Copy the environment variables").wait_for()


def test_copies_where_the_browser_has_no_clipboard_for_the_page(page: Any, stage: Stage, chat: str) -> None:
    """As on a page from another machine without https."""
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.reload()
    page.locator("#curl span").first.wait_for()
    watch(page, "[data-copy=curl]")
    page.get_by_role("button", name="Copy the curl command").click()
    until(page, "told['[data-copy=curl]'].includes('Copied the curl command')")
    page.locator("#say").press("Control+v")
    pasted = page.locator("#say").input_value()
    assert pasted.startswith("curl -X POST")
    assert pasted.endswith(f"{stage.env['LINQ_API_V3_BASE_URL']}/v3/chats/{chat}/typing")


def test_the_webhook_secret_is_shown_and_copied(page: Any, stage: Stage) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    secret = stage.env["LINQ_WEBHOOK_SECRET"]
    assert page.locator("#secret").inner_text() == secret
    watch(page, "[data-copy=secret]")
    page.get_by_role("button", name="Copy the webhook secret").click()
    until(page, "told['[data-copy=secret]'].includes('Copied the webhook secret')")
    assert page.evaluate("navigator.clipboard.readText()") == secret


def test_the_timeline_has_an_axis_in_the_time_of_the_requests(page: Any, stage: Stage, chat: str) -> None:
    stage.typing("POST", chat)
    mark = page.locator(f".row[data-chat='{chat}'] .mark.start")
    mark.wait_for()
    until(page, "document.querySelectorAll('#ticks i').length >= 2")
    seen = page.evaluate(
        """chat => ({
            ticks: [...document.querySelectorAll("#ticks i")].map(i => [i.textContent, i.getBoundingClientRect().left]),
            mark: document.querySelector(`.row[data-chat="${chat}"] .mark.start`).getBoundingClientRect().toJSON(),
        })""",
        chat,
    )
    (first, left), *_, (last, right) = [
        (60 * int(text.partition(":")[0]) + int(text.partition(":")[2]), x) for text, x in seen["ticks"]
    ]
    read = first + (middle(seen["mark"]) - left) * (last - first) / (right - left)
    [effect] = [r["effect_at"] for r in stage.state["requests"] if r["chat"] == chat]
    assert read == pytest.approx(effect, abs=0.3)
    assert seen["mark"]["width"] >= 13
    stage.typing("DELETE", chat)


def test_the_chats_that_the_timeline_leaves_out_are_counted_and_revealed(page: Any, stage: Stage) -> None:
    total = make_chats(stage, 14)
    rows, more = page.locator("#bands .row"), page.locator("#more")
    until(page, f"document.querySelector('#more').textContent === '{total - 6} more'")
    assert rows.count() == 6
    more.press("Enter")
    assert rows.count() == total
    assert more.get_attribute("aria-expanded") == "true"
    more.press("Enter")
    assert rows.count() == 6


def test_faults_are_shown_at_the_top_and_cleared_there(page: Any) -> None:
    page.set_viewport_size({"width": 1000, "height": 500})
    with Sandbox() as linq:
        linq.chat()
        page.goto(linq.url)
        page.get_by_text("live", exact=True).wait_for()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        linq.fail("start", 429, 3, retry_after=2)
        linq.slow("send", before=(0.1, 0.2), after=1, rate=0.5)
        shown = page.locator("#faults li")
        shown.nth(1).wait_for()
        assert shown.evaluate_all("nodes => nodes.map(node => node.firstChild.textContent)") == [
            "start: 429, retry after 2 s · 3 remaining",
            "send: 1.1 to 1.2 s slower · 50% at random",
        ]
        assert 0 <= shown.first.bounding_box()["y"] < 60
        page.get_by_role("button", name="Clear this fault: send").click()
        page.get_by_text("1 fault set").wait_for()
        page.get_by_role("button", name="Clear all faults").click()
        page.locator("#fault-bar").wait_for(state="hidden")
        assert linq.faults() == ()
        page.goto("about:blank")  # losing the sandbox would be an error in the console


def test_a_stopped_sandbox_is_reported_at_every_scroll_position(browser: Any) -> None:
    sandbox = start("-m", "linq_typing", "sandbox", "--port", "0")
    context = browser.new_context(viewport={"width": 1000, "height": 500})
    try:
        url = exports(sandbox)["LINQ_API_V3_BASE_URL"].removesuffix("api/partner")
        page = context.new_page()
        page.goto(url)
        page.get_by_text("live", exact=True).wait_for()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        banner = page.get_by_role("alert").filter(has_text="The sandbox has stopped")
        assert not banner.is_visible()
        port = httpx.URL(url).port or 0
        end(sandbox)
        with reserved_port(port):
            banner.wait_for()
            assert page.evaluate("scrollY") > 0
            assert banner.bounding_box()["y"] == 0
            next_frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
            page.evaluate(next_frame)
            clock = page.locator("#clock").inner_text()
            page.wait_for_timeout(300)
            page.evaluate(next_frame)
            assert page.locator("#clock").inner_text() == clock, "the clock has stopped, too"
            sandbox = start("-m", "linq_typing", "sandbox", "--port", str(port))
            banner.wait_for(state="hidden")
            page.get_by_text("live", exact=True).wait_for()
    finally:
        context.close()
        end(sandbox)


def test_a_phone_window_keeps_the_avatar_off_the_edge_and_the_time_of_requests(
    page: Any, stage: Stage, chat: str
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("#avatar").bounding_box()["y"] - page.locator("#screen").bounding_box()["y"] >= 8
    stage.typing("POST", chat)
    stage.typing("DELETE", chat)
    page.locator("#tabs").get_by_role("button", name="Requests").click()
    time_column = page.locator("#requests td").first
    time_column.wait_for()
    assert re.fullmatch(r"\d+:\d\d\.\d", time_column.inner_text())


def test_a_tablet_window_does_not_stretch_the_phone(page: Any) -> None:
    page.set_viewport_size({"width": 768, "height": 1024})
    box = page.locator(".phone").bounding_box()
    assert box["width"] / box["height"] < 0.6
    assert middle(box) == pytest.approx(384, abs=1)
    assert box["y"] + box["height"] <= page.locator("#tabs").bounding_box()["y"]


def test_the_speed_is_announced_as_text(page: Any, stage: Stage) -> None:
    slider = page.get_by_label("Simulation speed (1x = real time)")
    assert slider.get_attribute("aria-valuetext") == "1x"
    try:
        slider.press("ArrowRight")
        until(page, "document.getElementById('scale').getAttribute('aria-valuetext') === '2x'")
        until(page, "document.getElementById('clock').textContent.endsWith('2x')")
    finally:
        stage.act("set", time_scale=1)
