"""The argument CHAT_ID of all commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from linq_typing._settings import parse_chat_id


def chat_argument(*, required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives the command's function `chat_id`: the canonical UUID text."""
    return click.argument("chat_id", metavar="CHAT_ID", required=required, callback=_canonical)


def _canonical(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else parse_chat_id(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
