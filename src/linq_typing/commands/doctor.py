"""`linq-typing doctor`."""

from __future__ import annotations

from typing import Any

import click

from linq_typing.commands._options import access_options, chat_argument, check_duration, json_option


@click.command("doctor")
@chat_argument(required=False)
@click.option(
    "--hold",
    type=click.FloatRange(0, 60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    callback=check_duration,
    help="How long to leave the indicator up, for a look at the phone.",
)
@access_options
@json_option
def command(**options: Any) -> int:
    """Try the API key and the base URL, and explain the answer.

    With a chat: one real start, a look at the phone, one real stop. Without: one request that changes nothing.
    Exit status 1: there is a problem.
    """
    from linq_typing.commands._examination import examine

    return examine(**options)
