"""What `linq-typing start` and `linq-typing stop` do."""

from __future__ import annotations

from typing import Final

import click

from linq_typing._core.indicator import Action
from linq_typing._settings import ENABLED_VARIABLE, enabled_by_environment
from linq_typing.cli._access import access
from linq_typing.cli._answers import answer_of, facts_of, json_result, problem_of
from linq_typing.cli._probe import ask
from linq_typing.cli._status import DONE, FAILED, complain

ACCEPTED: Final = {
    Action.START: "Linq has accepted the start. In an iMessage chat with a message in the last 5 minutes the indicator "
    "shows now, for about 85 s or until a stop or a message.",
    Action.STOP: "Linq has accepted the stop: no indicator shows in this chat now.",
}


def make(action: Action, chat_id: str, api_key: str | None, base_url: str | None, as_json: bool) -> int:
    """Make one request, and print how it ended. Returns the exit status."""
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
        complain(f"{answer_of(probe)}\n{problem.what} {problem.fix}")
    return DONE if problem is None else FAILED
