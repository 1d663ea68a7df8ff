"""What `start` and `stop` have in common."""

from __future__ import annotations

from typing import Final

import click

from linq_typing._indicator import Action
from linq_typing._settings import ENABLED_VARIABLE, enabled_by_environment
from linq_typing.errors import ConfigurationError

DONE: Final = 0
FAILED: Final = 1


def make(action: Action, chat_id: str, accepted: str) -> int:
    """Make one request, say in words how it ended. Returns the exit status."""
    from linq_typing.commands._access import access
    from linq_typing.commands._probe import ask
    from linq_typing.commands._words import answer_of, problem_of

    if not enabled_by_environment():
        click.echo(f"{ENABLED_VARIABLE} switches typing indicators off: nothing was sent.")
        return DONE
    try:
        credentials = access().credentials
    except ConfigurationError as error:
        return complain(str(error))
    probe = ask(credentials, lambda prober: prober.probe(action, chat_id))
    problem = problem_of(probe)
    if problem is None:
        click.echo(accepted)
        return DONE
    return complain(f"{answer_of(probe)}\n{problem.what} {problem.cure}")


def complain(text: str, status: int = FAILED) -> int:
    """Say it as every command does. Returns the exit status."""
    click.echo(f"linq-typing: {text}", err=True)
    return status
