"""What the page's controls do: JSON in, a call of the simulation, JSON out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, get_args

from linq_typing.sandbox._records import Service
from linq_typing.sandbox._shelf import Record
from linq_typing.sandbox._simulation import Simulation


class Asked:
    """The JSON of an action, read with care. Every method raises `ValueError`, naming the field and the value."""

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise ValueError("the body must be a JSON object")
        self._fields: Record = fields

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self._fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{name} must be a non-empty string, got {value!r}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._fields.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name} must be a number, got {value!r}")
        return value

    def whole(self, name: str) -> int | None:
        """A whole number, or None."""
        value = self._fields.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        return value

    def flag(self, name: str) -> bool | None:
        """True, False or None."""
        value = self._fields.get(name)
        if value is not None and not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {value!r}")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> Any:
        """One of these, or None."""
        value = self._fields.get(name)
        if value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None."""
        return self.text(name) if name in self else None


Action = Callable[[Simulation, Asked], Record]


def _write(simulation: Simulation, asked: Asked) -> Record:
    return {"message": simulation.write(asked.text("chat"), asked.text("text")).id}


def _reopen(simulation: Simulation, asked: Asked) -> Record:
    simulation.reopen(asked.text("chat"))
    return {}


def _new_chat(simulation: Simulation, asked: Asked) -> Record:
    kind = asked.choice("kind", ("iMessage", "SMS", "RCS", "group")) or "iMessage"
    make: dict[str, Callable[[], str]] = {
        "iMessage": simulation.chat,
        "group": simulation.group,
        "SMS": simulation.sms,
        "RCS": partial(simulation.sms, service="RCS"),
    }
    return {"chat": make[kind]()}


def _change_chat(simulation: Simulation, asked: Asked) -> Record:
    simulation.change(
        asked.text("chat"),
        service=asked.choice("service", get_args(Service)),
        group=asked.flag("group"),
        typing_allowed=asked.flag("typing_allowed"),
    )
    return {}


def _fail(simulation: Simulation, asked: Asked) -> Record:
    simulation.fail(
        asked.text("endpoint"),
        int(asked.number("status", 500)),
        asked.whole("times"),
        asked.number("rate", 1.0),
        asked.optional_text("chat"),
        retry_after=asked.number("retry_after") if "retry_after" in asked else None,
        effect=asked.flag("effect"),
    )
    return {}


def _slow(simulation: Simulation, asked: Asked) -> Record:
    simulation.slow(
        asked.text("endpoint"),
        asked.number("before", 0.0),
        asked.number("after", 0.0),
        asked.whole("times"),
        asked.number("rate", 1.0),
        asked.optional_text("chat"),
    )
    return {}


def _lose(simulation: Simulation, asked: Asked) -> Record:
    simulation.lose(
        asked.text("endpoint"),
        asked.whole("times"),
        asked.number("rate", 1.0),
        asked.optional_text("chat"),
        hang=asked.flag("hang") or False,
        effect=asked.flag("effect") is not False,
    )
    return {}


def _clear_faults(simulation: Simulation, asked: Asked) -> Record:
    simulation.clear_faults(asked.whole("fault"))
    return {}


def _set(simulation: Simulation, asked: Asked) -> Record:
    if "time_scale" in asked:
        simulation.time_scale = asked.number("time_scale")
    return {}


def _set_webhook(simulation: Simulation, asked: Asked) -> Record:
    simulation.set_webhook(
        asked.optional_text("url"), secret=asked.optional_text("secret"), version=asked.optional_text("version")
    )
    return {}


ACTIONS: Final[dict[str, Action]] = {
    "write": _write,
    "reopen": _reopen,
    "new-chat": _new_chat,
    "change-chat": _change_chat,
    "fail": _fail,
    "slow": _slow,
    "lose": _lose,
    "clear-faults": _clear_faults,
    "set": _set,
    "webhook": _set_webhook,
}
