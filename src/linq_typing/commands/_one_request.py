"""What `start` and `stop` have in common."""

from __future__ import annotations

from typing import Final

import click

from linq_typing._core.indicator import Action
from linq_typing._settings import ENABLED_VARIABLE, enabled_by_environment

DONE: Final = 0
FAILED: Final = 1

ACCEPTED: Final = {
    Action.START: "Linq has accepted the start. In an iMessage chat with a message in the last 5 minutes the indicator "
    "shows now, for about 85 s or until a stop or a message.",
    Action.STOP: "Linq has accepted the stop: no indicator shows in this chat now.",
}


def make(action: Action, chat_id: str, api_key: str | None, base_url: str | None, as_json: bool) -> int:
    """Make one request, and say how it ended. Returns the exit status."""
    from linq_typing.commands._access import access
    from linq_typing.commands._probe import ask
    from linq_typing.commands._words import answer_of, facts_of, json_result, problem_of

    request = {"action": action.value, "chat_id": chat_id}
    if not enabled_by_environment():
        text = f"{ENABLED_VARIABLE} switches typing indicators off: nothing was sent."
        click.echo(json_result({"sent": False, **request}, None) if as_json else text)
        return DONE
    probe = ask(access(api_key, base_url).credentials, lambda prober: prober.probe(action, chat_id))
    problem = problem_of(probe)
    if as_json:
        click.echo(json_result({"sent": True, **request, **facts_of(probe)}, problem))
    elif problem is None:
        click.echo(ACCEPTED[action])
    else:
        complain(f"{answer_of(probe)}\n{problem.what} {problem.cure}")
    return DONE if problem is None else FAILED


def complain(text: str, status: int = FAILED) -> int:
    """Say it as every command does. Returns the exit status."""
    click.echo(f"linq-typing: {text}", err=True)
    return status
