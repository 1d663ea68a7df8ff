"""What `linq-typing sandbox` does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import click

from linq_typing.cli._status import INTERRUPTED
from linq_typing.sandbox import Sandbox

KEEP: Final = 5000
"""How many requests to keep: days of a bot's work in a few megabytes."""


def serve(options: Mapping[str, Any], open_page: bool) -> int:
    """Run the sandbox until Ctrl-C. Returns the exit status."""
    sandbox = _create(options)
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
            time.sleep(3600)  # Ctrl-C interrupts it on every platform, unlike an event's wait
    return INTERRUPTED


def _create(options: Mapping[str, Any]) -> Sandbox:
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Sandbox(keep=KEEP, **given)
    except ValueError as error:  # its text begins with the parameter's name
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
    click.echo(f"Open {sandbox.url} to see what the recipient sees. Press Ctrl-C to end the sandbox.\n")
    for name, value in variables.items():
        click.echo(f"export {name}={value}")
    powershell = "; ".join(f'$env:{name}="{value}"' for name, value in variables.items())
    click.echo(f"\nPowerShell: {powershell}\n")
    click.echo(f"A chat to type in: {chat}\n")
    click.echo(f'curl -X POST -H "Authorization: Bearer {sandbox.api_key}" {sandbox.base_url}/v3/chats/{chat}/typing')
