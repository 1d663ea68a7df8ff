"""`linq-typing start`."""

from __future__ import annotations

from typing import Any

import click

from linq_typing._core.indicator import Action
from linq_typing.commands._one_request import make
from linq_typing.commands._options import access_options, chat_argument, json_option


@click.command("start")
@chat_argument()
@access_options
@json_option
def command(**options: Any) -> int:
    """Show the typing indicator in a chat for about 85 seconds.

    To keep it up, see `linq-typing while`. Exit status 1: not accepted.
    """
    return make(Action.START, **options)
