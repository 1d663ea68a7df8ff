"""The command `linq-typing`.

Its commands live in modules of their own that need the extra `cli`, two of them the extra `sandbox`. This module
imports without them, to be able to say so.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from linq_typing.errors import ConfigurationError

if TYPE_CHECKING:
    import click

COMMANDS: Final = (
    "linq_typing.commands.run_while",
    "linq_typing.commands.start",
    "linq_typing.commands.stop",
    "linq_typing.commands.doctor",
    "linq_typing.demo.command",
    "linq_typing.commands.sandbox",
)
"""The modules of the commands: each has a click command called `command`, and imports at its top level no other
package than click."""

EXTRA: Final = ("click", "rich", "starlette", "uvicorn")
"""The packages that the extras bring: `cli` the first one, `sandbox` all."""

NEED_SANDBOX: Final = ("demo", "sandbox")
"""The commands that need the extra `sandbox`."""

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130  # what a shell reports of a program that Ctrl-C has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Parameters:
        arguments: default: those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _reader_gone()
    except ImportError as error:
        package = _missing_extra(error)
        if package is None:
            raise
        extra = "sandbox" if arguments and arguments[0] in NEED_SANDBOX else "cli"
        return _complain(f'this command needs {package}: pip install "linq-typing[{extra}]"')


def _run(arguments: Sequence[str]) -> int:
    import click

    logging.basicConfig(format="linq-typing: %(message)s")  # as `_complain` says it
    try:
        # Returns what the command returns; in click's standalone mode it would exit, with statuses of its own.
        return int(_program().main(arguments, prog_name="linq-typing", standalone_mode=False) or 0)
    except click.Abort:
        return INTERRUPTED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "linq-typing"
        return _complain(f"{' '.join(error.format_message().split())} (see {command} --help)", error.exit_code)
    except click.ClickException as error:
        return _complain(error.format_message(), error.exit_code)
    except ConfigurationError as error:  # key and base are checked by now
        return _complain(f"{error}. Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.")


def _program() -> click.Group:
    import click

    @click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(version("linq-typing"), message="linq-typing %(version)s")
    @click.pass_context
    def program(context: click.Context) -> None:
        """Keeps the iMessage typing indicator showing while a Linq bot works."""
        if context.invoked_subcommand is None:
            click.echo(context.get_help())

    for module in COMMANDS:
        program.add_command(import_module(module).command)
    return program


def _missing_extra(error: ImportError) -> str | None:
    """The package of the extra whose absence is the cause; None when it is something else."""
    cause: BaseException | None = error
    while cause is not None:
        package = (getattr(cause, "name", None) or "").partition(".")[0]
        if isinstance(cause, ModuleNotFoundError) and package in EXTRA:
            return package
        cause = cause.__cause__
    return None


def _complain(text: str, status: int = MISUSED) -> int:
    print(f"linq-typing: {text}", file=sys.stderr)
    return status


def _reader_gone() -> int:
    # The interpreter flushes stdout once more when it exits, which must not fail too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
