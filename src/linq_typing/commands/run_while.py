"""`linq-typing while`."""

from __future__ import annotations

from typing import Any

import click

from linq_typing.commands._options import access_options, chat_argument, check_duration

SECONDS: Any = {"type": float, "metavar": "SECONDS", "default": None, "callback": check_duration}


class WhileCommand(click.Command):
    """Says what is missing when the command's own options are taken for those of `linq-typing while`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        separated = "--" in args
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if separated:
                raise
            text = error.format_message().rstrip(".")
            hint = "If it belongs to COMMAND, put -- first: linq-typing while CHAT_ID -- COMMAND..."
            raise click.UsageError(f"{text}. {hint}", ctx) from None


@click.command("while", cls=WhileCommand)
@chat_argument()
@click.option("--start-delay", **SECONDS, help="Show nothing when the command ends sooner.  [default: 0]")
@click.option("--max-duration", **SECONDS, help="Take the indicator down after so long.  [default: 600]")
@access_options
@click.argument("arguments", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    chat_id: str, arguments: tuple[str, ...], api_key: str | None, base_url: str | None, **options: float | None
) -> int:
    """Run a command, and show the typing indicator until it ends.

    \b
        linq-typing while 1b4e28ba-2fa1-11d2-883f-0016d3cca427 -- ./answer.sh "what they asked"

    The command's exit status is passed on, and signals are passed to it. As in a shell: 128 + n when signal n has
    ended it, 127 when there is no such command, 126 when it can't be run. 2: nothing was run, because of a wrong
    option or a missing API key.
    """
    from linq_typing.commands._child import run_typing

    given = {name: value for name, value in options.items() if value is not None}
    return run_typing(chat_id, arguments, api_key, base_url, given)
