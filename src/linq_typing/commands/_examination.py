"""What the doctor does, line by line."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import click

from linq_typing._indicator import Action
from linq_typing._settings import BASE_URL_VARIABLE, ENABLED_VARIABLE, KEY_VARIABLES, enabled_by_environment
from linq_typing.commands._access import Access, access
from linq_typing.commands._probe import Probe, Prober, ask
from linq_typing.commands._words import UNSEEN, Problem, answer_of, is_let_in, problem_of
from linq_typing.errors import ConfigurationError

WELL: Final = 0
ILL: Final = 1

NO_CHAT: Final = "00000000-0000-4000-8000-000000000000"
"""A chat that does not exist: a stop there tells a good key from a bad one, and does nothing."""

NO_ACCESS: Final = (
    f"Set {KEY_VARIABLES[0]}, and {BASE_URL_VARIABLE} only for a base of your own. A .env file is not read by this "
    "command: export its variables first."
)

DISABLED: Final = Problem(
    f"{ENABLED_VARIABLE} switches typing indicators off: the library sends nothing.", "Unset it, or set it to 1."
)


def examine(chat_id: str | None, hold: float) -> int:
    """Look at everything, and say what was found. Returns the exit status."""
    try:
        found = access()
    except ConfigurationError as error:
        return _ill(Problem(str(error), NO_ACCESS))
    _say_access(found)
    if chat_id is None:
        return _without_chat(found)
    return ask(found.credentials, lambda prober: _with_chat(prober, chat_id, hold))


def _say_access(found: Access) -> None:
    _line("key", f"{found.masked_key}, from {found.key_from}")
    if found.unused_key:
        _line("", f"{found.unused_key} holds another key, which is not used")
    _line("base", f"{found.credentials.base_url}, {f'from {found.base_from}' if found.base_from else 'the public one'}")


def _without_chat(found: Access) -> int:
    probe = ask(found.credentials, lambda prober: prober.probe(Action.STOP, NO_CHAT))
    if not is_let_in(probe):
        _line("request", answer_of(probe))
        return _ill(problem_of(probe))
    _line("request", f"the API answers, and knows the key ({1000 * probe.seconds:.0f} ms)")
    return _well("To see an indicator on a phone, name a chat: linq-typing doctor CHAT_ID (chat.id of a webhook).")


async def _with_chat(prober: Prober, chat_id: str, hold: float) -> int:
    start, stop = await _start_and_stop(prober, chat_id, hold)
    problem = problem_of(start) or (problem_of(stop) if stop is not None else None)
    if problem is not None:
        return _ill(problem)
    chat = await prober.chat(chat_id)
    if chat:
        _line("chat", _kind_of(chat))
    if chat.get("service") in ("SMS", "RCS"):
        return _ill(
            Problem(
                f"This chat goes over {chat['service']}, which shows no indicator: the API accepts, and nothing shows.",
                "Nothing to mend; only iMessage shows one.",
            )
        )
    return _well(f"If the phone showed nothing: {UNSEEN[0].lower()}{UNSEEN[1:]}")


async def _start_and_stop(prober: Prober, chat_id: str, hold: float) -> tuple[Probe, Probe | None]:
    """The stop is made whenever the start may have worked, Ctrl-C included."""
    start: Probe | None = None
    stop: Probe | None = None
    try:
        start = await prober.probe(Action.START, chat_id)
        _line("start", answer_of(start))
        if start.error is None:
            await asyncio.sleep(hold)
    finally:
        if start is None or start.did_something:
            stop = await prober.probe(Action.STOP, chat_id)
            _line("stop", answer_of(stop))
    assert start is not None  # else it was cancelled
    return start, stop


def _kind_of(chat: Mapping[str, Any]) -> str:
    return f"{chat.get('service') or 'unknown service'}{', a group' if chat.get('is_group') else ''}"


def _well(text: str) -> int:
    if not enabled_by_environment():
        return _ill(DISABLED)
    click.echo(f"\nAll is well. {text}")
    return WELL


def _ill(problem: Problem | None) -> int:
    what, cure = problem or Problem("The answer is not what Linq answers.", "Check the base URL.")
    click.echo(f"\nProblem: {what}\nMend it: {cure}")
    return ILL


def _line(label: str, text: str) -> None:
    click.echo(f"{label:<8} {text}")
