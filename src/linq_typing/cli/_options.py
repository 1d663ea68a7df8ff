"""The argument and the options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from linq_typing._linq import BASE_URL_VARIABLE, KEY_VARIABLES, PUBLIC_BASE_URL
from linq_typing._settings import check_seconds, parse_chat_id

F = TypeVar("F", bound=Callable[..., Any])


def chat_argument(*, required: bool = True) -> Callable[[F], F]:
    """The argument CHAT_ID, passed to the command's function as canonical UUID text."""
    return click.argument("chat_id", required=required, callback=_canonical)


def access_options(function: F) -> F:
    """The options --api-key and --base-url, for `access`."""
    key = click.option(
        "--api-key",
        metavar="KEY",
        help=f"Linq API key. Prefer {KEY_VARIABLES[0]} (or {KEY_VARIABLES[1]}): a key on a command line is visible in "
        "process listings.",
    )
    base = click.option(
        "--base-url",
        metavar="URL",
        help=f"Root of the Linq API.  [default: {BASE_URL_VARIABLE}, else {PUBLIC_BASE_URL}]",
    )
    return key(base(function))


json_option: Final = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def check_duration(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """The callback of options that take a number of seconds."""
    try:
        check_seconds(parameter.opts[0], value, none=True)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return value


def _canonical(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else parse_chat_id(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a UUID such as Linq's chat.id", param_hint="'CHAT_ID'") from None
