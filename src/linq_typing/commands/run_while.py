"""`linq-typing while`."""

from __future__ import annotations

from typing import Any

import click

from linq_typing._settings import check_seconds
from linq_typing.commands._chat_id import chat_argument


def _checked(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    try:
        check_seconds(parameter.opts[0], value, none=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return value


SECONDS: Any = {"type": float, "metavar": "SECONDS", "default": None, "callback": _checked}


@click.command("while")
@chat_argument()
@click.option("--start-delay", **SECONDS, help="Show nothing when the command ends sooner. [default: 0]")
@click.option("--max-duration", **SECONDS, help="Take the indicator down after so long. [default: 600]")
@click.argument("arguments", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(chat_id: str, arguments: tuple[str, ...], **options: float | None) -> int:
    """Run a command, and show the typing indicator until it ends.

    \b
        linq-typing while 1b4e28ba-2fa1-11d2-883f-0016d3cca427 -- ./answer.sh "what they asked"

    The command's exit status is passed on, and signals are passed to it. As in a shell: 128 + n when signal n has
    ended it, 127 when there is no such command, 126 when it can't be run; 125 when there is no API key.
    """
    from linq_typing.commands._child import run_typing

    return run_typing(chat_id, arguments, {name: value for name, value in options.items() if value is not None})
