"""`linq-typing doctor`."""

from __future__ import annotations

import click

from linq_typing.commands._chat_id import chat_argument


@click.command("doctor")
@chat_argument(required=False)
@click.option(
    "--hold",
    type=click.FloatRange(0, 60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to leave the indicator up, for a look at the phone.",
)
def command(chat_id: str | None, hold: float) -> int:
    """Say which key and base URL are used, try them, and explain the answer.

    With a chat: one real start, a look at the phone, one real stop. Without: one request that changes nothing.
    Exit status 1: there is a problem.
    """
    from linq_typing.commands._examination import examine

    return examine(chat_id, hold)
