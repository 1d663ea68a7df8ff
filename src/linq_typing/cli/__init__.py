"""The command `linq-typing`. Needs the extra `cli`; its commands `demo` and `sandbox` need the extra `sandbox`."""

from linq_typing.cli._main import main

__all__ = ["main"]
