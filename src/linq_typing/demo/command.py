"""The command itself."""

from __future__ import annotations

import click


@click.command("demo")
@click.option("--fast", is_flag=True, help="About four times as fast.")
def command(fast: bool) -> int:
    """Watch a bot type, retry, refresh and reply, in four scenes.

    They are played against a local sandbox: no key and no network are needed. Takes about half a minute. Exit
    status 1: an indicator was left showing.
    """
    from linq_typing.demo._evening import run

    return run(pace=4.0 if fast else 1.0)
