"""`linq-typing stop`."""

from __future__ import annotations

import click

from linq_typing._indicator import Action
from linq_typing.commands._chat_id import chat_argument
from linq_typing.commands._one_request import make

ACCEPTED = "Linq has accepted the stop: no indicator shows in this chat now."


@click.command("stop")
@chat_argument()
def command(chat_id: str) -> int:
    """Take the typing indicator of a chat down, once.

    Exit status 1: not accepted.
    """
    return make(Action.STOP, chat_id, ACCEPTED)
