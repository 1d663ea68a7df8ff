"""The entry point: turns every failure into one line and an exit status.

Can be imported without the extras, so that it can say which one is missing.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

from linq_typing.cli._status import FAILED, INTERRUPTED, MISUSED, complain
from linq_typing.errors import ConfigurationError

EXTRA: Final = ("click", "rich", "starlette", "uvicorn")
"""What the extras install: `cli` only the first, `sandbox` all of them."""

NEED_SANDBOX: Final = ("demo", "sandbox")
"""The commands that need the extra `sandbox`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status.

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
        return complain(f'this command needs {package}: pip install "linq-typing[{extra}]"', MISUSED)


def _run(arguments: Sequence[str]) -> int:
    import click

    from linq_typing.cli._commands import program

    logging.basicConfig(format="linq-typing: %(message)s")  # as `complain` prints it
    try:
        # Outside click's standalone mode, which would exit with statuses of its own, it returns what the command does.
        return int(program.main(arguments, prog_name="linq-typing", standalone_mode=False) or 0)
    except click.Abort:
        return INTERRUPTED
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "linq-typing"
        return complain(f"{' '.join(error.format_message().split())} (see {command} --help)", error.exit_code)
    except click.ClickException as error:
        return complain(error.format_message(), error.exit_code)
    except ConfigurationError as error:  # the key and the base URL have been checked before
        return complain(f"{error}. Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY.", MISUSED)


def _missing_extra(error: ImportError) -> str | None:
    """The package of an extra whose absence is the cause; None if the cause is something else."""
    cause: BaseException | None = error
    while cause is not None:
        package = (getattr(cause, "name", None) or "").partition(".")[0]
        if isinstance(cause, ModuleNotFoundError) and package in EXTRA:
            return package
        cause = cause.__cause__
    return None


def _reader_gone() -> int:
    # The interpreter flushes stdout again when it exits, and that must not fail too.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED
