"""`linq-typing stop`."""

from __future__ import annotations

from typing import Any

import click

from linq_typing._core.indicator import Action
from linq_typing.commands._one_request import make
from linq_typing.commands._options import access_options, chat_argument, json_option


@click.command("stop")
@chat_argument()
@access_options
@json_option
def command(**options: Any) -> int:
    """Take the typing indicator in a chat down.

    Exit status 1: not accepted.
    """
    return make(Action.STOP, **options)
