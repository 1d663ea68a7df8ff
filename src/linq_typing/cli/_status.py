"""Exit statuses, and the form of an error message."""

from __future__ import annotations

import sys
from typing import Final

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
NOT_EXECUTABLE: Final = 126  # this one and the following as in a shell
NOT_FOUND: Final = 127
BY_SIGNAL: Final = 128
INTERRUPTED: Final = 130


def complain(text: str, status: int = FAILED) -> int:
    """Print an error message. Returns the exit status."""
    print(f"linq-typing: {text}", file=sys.stderr)
    return status
