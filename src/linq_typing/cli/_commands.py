"""The commands: their arguments, options and help texts. What they do is in the modules beside this one."""

from __future__ import annotations

import base64
from importlib.metadata import version
from typing import Any, Final

import click

from linq_typing._core.indicator import Action
from linq_typing._settings import REDIS_URL_VARIABLE
from linq_typing.cli import _checks, _child, _request
from linq_typing.cli._options import access_options, chat_argument, check_duration, json_option

SECONDS: Final[dict[str, Any]] = {"type": float, "metavar": "SECONDS", "default": None, "callback": check_duration}


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("linq-typing"), message="linq-typing %(version)s")
@click.pass_context
def program(context: click.Context) -> None:
    """Keeps the iMessage typing indicator showing while a Linq bot works."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


class WhileCommand(click.Command):
    """Adds a hint when an unknown option may belong to the command that is to be run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, with a better error."""
        separated = "--" in args
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if separated:
                raise
            text = error.format_message().rstrip(".")
            hint = "If it belongs to COMMAND, put -- first: linq-typing while CHAT_ID -- COMMAND..."
            raise click.UsageError(f"{text}. {hint}", ctx) from None


@program.command("while", cls=WhileCommand)
@chat_argument()
@click.option("--start-delay", **SECONDS, help="Don't show the indicator if the command ends sooner.  [default: 0]")
@click.option("--max-duration", **SECONDS, help="Take the indicator down after this time.  [default: 600]")
@access_options
@click.argument("arguments", metavar="-- COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def run_while(
    chat_id: str, arguments: tuple[str, ...], api_key: str | None, base_url: str | None, **options: float | None
) -> int:
    """Run a command, and show the typing indicator until it ends.

    \b
        linq-typing while 1b4e28ba-2fa1-11d2-883f-0016d3cca427 -- ./answer.sh "what they asked"

    Signals are passed on to the command. The exit status is the command's, or as in a shell: 128 + n if signal n ended
    it, 127 if it does not exist, 126 if it can't be executed. 2: an option is wrong or the API key is missing, and
    nothing was run.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return _child.run_typing(chat_id, arguments, api_key, base_url, given)


@program.command()
@chat_argument()
@access_options
@json_option
def start(**options: Any) -> int:
    """Show the typing indicator in a chat for about 85 seconds.

    To keep it showing, use `linq-typing while`. Exit status 1: the request was not accepted.
    """
    return _request.make(Action.START, **options)


@program.command()
@chat_argument()
@access_options
@json_option
def stop(**options: Any) -> int:
    """Take down the typing indicator in a chat.

    Exit status 1: the request was not accepted.
    """
    return _request.make(Action.STOP, **options)


@program.command()
@chat_argument(required=False)
@click.option("--hold", type=click.FloatRange(0, 60), default=3.0, show_default=True, metavar="SECONDS",
              callback=check_duration, help="How long the indicator shows before it is stopped.")  # fmt: skip
@access_options
@click.option("--redis-url", metavar="URL", help=f"The Redis of redis=.  [default: {REDIS_URL_VARIABLE}]")
@json_option
def doctor(**options: Any) -> int:
    """Try the API key, the base URL and Redis, and explain the answers.

    With a chat it makes a real start, waits while you look at the phone, and makes a real stop. Without a chat it makes
    one request that changes nothing. Exit status 1: it found a problem.
    """
    return _checks.check(**options)


@program.command()
@click.option("--fast", is_flag=True, help="About four times as fast.")
def demo(fast: bool) -> int:
    """Watch a bot type, retry, refresh and reply.

    Four scenes, and a fifth with several processes if a Redis server is here. They are played against a local sandbox:
    no key and no network are needed. Takes less than a minute. Exit status 1: an indicator was left showing.
    """
    from linq_typing.cli.demo._runner import run

    return run(pace=4.0 if fast else 1.0)


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


@program.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: a free port.")
@click.option("--webhook", metavar="URL", help="URL of your bot's webhook, to post Linq's events to.")
@click.option("--webhook-secret", metavar="SECRET", envvar="LINQ_WEBHOOK_SECRET", show_envvar=True,
              callback=_checked_secret, help="Signs webhooks: whsec_ followed by base64.")  # fmt: skip
@click.option("--webhook-version", type=click.Choice(["2025-01-01", "2026-02-03"]), default="2026-02-03",
              show_default=True, help="The version of webhook payloads.")  # fmt: skip
@click.option("--time-scale", type=float, default=1.0, show_default=True, help="Simulation speed (1: real time).")
@click.option("--settle", type=float, default=1.0, show_default=True,
              help="Seconds from a message's acceptance until it is sent.")  # fmt: skip
@click.option("--shown-for", type=float, default=85.0, show_default=True,
              help="Seconds for which one start shows the indicator.")  # fmt: skip
@click.option("--active-for", type=float, default=300.0, show_default=True,
              help="Seconds after a message in which a start shows the indicator.")  # fmt: skip
@click.option("--open", "open_page", is_flag=True, help="Open the page in the browser.")
def sandbox(open_page: bool, **options: Any) -> int:
    """Serve a local Linq API, and a page that shows its chats.

    Needs no key and no network. Press Ctrl-C to end it. Exit status 1: it can't listen on the address.
    """
    from linq_typing.cli._serve import serve

    return serve(options, open_page)
