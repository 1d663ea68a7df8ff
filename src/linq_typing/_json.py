"""Parses JSON of unknown origin."""

from __future__ import annotations

import json
from typing import Any


def parsed(text: str | bytes, most: int) -> Any:
    """Parse the text. Raises ValueError if it is not JSON, is longer than ``most``, or is nested too deeply."""
    if len(text) > most:
        raise ValueError(f"longer than {most}")
    try:
        return json.loads(text)
    except RecursionError:
        brackets = ("[", "{") if isinstance(text, str) else (b"[", b"{")
        if sum(map(text.count, brackets)) < 100:  # type: ignore[arg-type]
            raise  # the nesting is not the cause
        raise ValueError("nested too deeply") from None
