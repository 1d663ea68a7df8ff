"""`linq-typing start`."""

from __future__ import annotations

import click

from linq_typing._indicator import Action
from linq_typing.commands._chat_id import chat_argument
from linq_typing.commands._one_request import make

ACCEPTED = (
    "Linq has accepted the start. In an iMessage chat with a message in the last 5 minutes the indicator shows now, "
    "for about 85 s or until a stop or a message."
)


@click.command("start")
@chat_argument()
def command(chat_id: str) -> int:
    """Ask once for the typing indicator in a chat.

    It shows for about 85 seconds; to keep it up, see `linq-typing while`. Exit status 1: not accepted.
    """
    return make(Action.START, chat_id, ACCEPTED)
