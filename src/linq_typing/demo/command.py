"""The command itself."""

from __future__ import annotations

import click


@click.command("demo")
@click.option("--fast", is_flag=True, help="About four times as fast.")
def command(fast: bool) -> int:
    """Play four scenes against a local sandbox, and show what the recipient sees.

    Needs no key and no network. Takes about half a minute. Exit status 1: an indicator was left showing.
    """
    from linq_typing.demo._evening import run

    return run(pace=4.0 if fast else 1.0)
