"""`linq-typing sandbox`: the sandbox in a terminal, with its page."""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from linq_typing.sandbox import Sandbox

_KEEP = 5000  # requests: days of a bot's work, and no more than some megabytes


def _checked_secret(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    key = value.removeprefix("whsec_")
    try:
        valid = key != value and base64.b64decode(key, validate=True) != b""
    except ValueError:
        valid = False
    if not valid:
        raise click.BadParameter("must be whsec_ followed by base64, as Linq gives it")
    return value


@click.command("sandbox")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free one.")
@click.option("--webhook", metavar="URL", help="Your bot: what the person does is posted there, as Linq does it.")
@click.option("--webhook-secret", metavar="SECRET", envvar="LINQ_WEBHOOK_SECRET", show_envvar=True,
              callback=_checked_secret, help="Signs webhooks: whsec_ followed by base64.")  # fmt: skip
@click.option("--webhook-version", type=click.Choice(["2025-01-01", "2026-02-03"]), default="2026-02-03",
              show_default=True, help="The payload's version.")  # fmt: skip
@click.option("--time-scale", type=float, default=1.0, show_default=True, help="Simulation speed (1: real time).")
@click.option("--settle", type=float, default=1.0, show_default=True,
              help="Seconds from a message's acceptance to its landing.")  # fmt: skip
@click.option("--shown-for", type=float, default=85.0, show_default=True, help="Seconds that one start shows.")
@click.option("--active-for", type=float, default=300.0, show_default=True,
              help="Seconds after a message in which a start shows.")  # fmt: skip
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def command(open_page: bool, **options: Any) -> int:
    """Serve a local Linq API, and a page that shows its chats.

    Needs no key and no network. Ctrl-C ends it. Exit status 1: the address is taken.
    """
    from linq_typing.cli import INTERRUPTED

    sandbox = _made(options)
    try:
        sandbox.start()
    except OSError as error:
        address = f"{options['host']}:{options['port']}"
        raise click.ClickException(f"cannot listen on {address}: {error.strerror or error}: try --port 0") from None
    with sandbox, suppress(KeyboardInterrupt):
        _introduce(sandbox)
        if open_page:
            click.launch(sandbox.url)
        while True:
            time.sleep(3600)  # unlike an event's wait, Ctrl-C ends it everywhere
    return INTERRUPTED


def _made(options: dict[str, Any]) -> Sandbox:
    from linq_typing.sandbox import Sandbox

    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Sandbox(keep=_KEEP, **given)
    except ValueError as error:  # begins with the parameter's name
        name, rest = str(error).split(" ", 1)
        raise click.UsageError(f"--{name.replace('_', '-')} {rest}") from None
    except ImportError as error:
        raise click.UsageError(str(error)) from None


def _introduce(sandbox: Sandbox) -> None:
    chat = sandbox.chat()
    sandbox.group()
    sandbox.sms()
    variables = sandbox.env()
    if sandbox.webhook is not None:
        variables["LINQ_WEBHOOK_SECRET"] = sandbox.webhook_secret
    click.echo(f"Open {sandbox.url} to see what the recipient sees. Ctrl-C ends it.\n")
    for name, value in variables.items():
        click.echo(f"export {name}={value}")
    powershell = "; ".join(f'$env:{name}="{value}"' for name, value in variables.items())
    click.echo(f"\nPowerShell: {powershell}\n")
    click.echo(f"A chat to type in: {chat}\n")
    click.echo(f'curl -X POST -H "Authorization: Bearer {sandbox.api_key}" {sandbox.base_url}/v3/chats/{chat}/typing')
