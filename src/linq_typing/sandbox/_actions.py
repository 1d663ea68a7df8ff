"""The page's controls: each action validates its JSON fields and calls the simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, get_args

from linq_typing.sandbox._records import Service
from linq_typing.sandbox._simulation import Simulation


class Fields:
    """The JSON fields of an action. Each method raises a `ValueError` that names the field and its value."""

    def __init__(self, fields: object) -> None:
        if not isinstance(fields, dict):
            raise ValueError("the body must be a JSON object")
        self._fields: dict[str, Any] = fields

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str) -> str:
        """A string that is not blank."""
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

    def integer(self, name: str) -> int | None:
        """An integer or None."""
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
        """One of the choices, or None."""
        value = self._fields.get(name)
        if value is not None and value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string or None."""
        return self.text(name) if name in self else None


Action = Callable[[Simulation, Fields], dict[str, Any] | None]
"""Returns the JSON of its answer; None: empty."""


def _write(simulation: Simulation, fields: Fields) -> dict[str, str]:
    return {"message": simulation.write(fields.text("chat"), fields.text("text")).id}


def _colleague(simulation: Simulation, fields: Fields) -> dict[str, str]:
    return {"message": simulation.send_as_colleague(fields.text("chat"), fields.text("text")).id}


def _reopen(simulation: Simulation, fields: Fields) -> dict[str, int]:
    return {"read": len(simulation.reopen(fields.text("chat")))}


def _new_chat(simulation: Simulation, fields: Fields) -> dict[str, str]:
    kind = fields.choice("kind", ("iMessage", "SMS", "RCS", "group")) or "iMessage"
    create: dict[str, Callable[[], str]] = {
        "iMessage": simulation.chat,
        "group": simulation.group,
        "SMS": simulation.sms,
        "RCS": partial(simulation.sms, service="RCS"),
    }
    return {"chat": create[kind]()}


def _change_chat(simulation: Simulation, fields: Fields) -> None:
    simulation.change(
        fields.text("chat"),
        service=fields.choice("service", get_args(Service)),
        group=fields.flag("group"),
        typing_allowed=fields.flag("typing_allowed"),
    )


def _fail(simulation: Simulation, fields: Fields) -> None:
    simulation.fail(
        fields.text("endpoint"),
        int(fields.number("status", 500)),
        **_scope(fields),
        retry_after=fields.number("retry_after") if "retry_after" in fields else None,
        effect=fields.flag("effect"),
    )


def _slow(simulation: Simulation, fields: Fields) -> None:
    simulation.slow(
        fields.text("endpoint"), fields.number("before", 0.0), fields.number("after", 0.0), **_scope(fields)
    )


def _lose(simulation: Simulation, fields: Fields) -> None:
    simulation.lose(
        fields.text("endpoint"),
        **_scope(fields),
        hang=fields.flag("hang") or False,
        effect=fields.flag("effect") is not False,
    )


def _fail_messages(simulation: Simulation, fields: Fields) -> None:
    simulation.fail_messages(**_scope(fields), code=int(fields.number("code", 4001)))


def _delay_webhooks(simulation: Simulation, fields: Fields) -> None:
    simulation.delay_webhooks(fields.number("seconds"), _event(fields), **_scope(fields))


def _duplicate_webhooks(simulation: Simulation, fields: Fields) -> None:
    simulation.duplicate_webhooks(_event(fields), **_scope(fields), copies=int(fields.number("copies", 1)))


def _reorder_webhooks(simulation: Simulation, fields: Fields) -> None:
    simulation.reorder_webhooks(_event(fields), **_scope(fields))


def _event(fields: Fields) -> str:
    return fields.optional_text("event") or "webhook"


def _scope(fields: Fields) -> dict[str, Any]:
    return {
        "times": fields.integer("times"),
        "rate": fields.number("rate", 1.0),
        "chat": fields.optional_text("chat"),
    }


def _clear_faults(simulation: Simulation, fields: Fields) -> None:
    simulation.clear_faults(fields.integer("fault"))


def _set(simulation: Simulation, fields: Fields) -> None:
    if "time_scale" in fields:
        simulation.time_scale = fields.number("time_scale")


def _set_webhook(simulation: Simulation, fields: Fields) -> None:
    simulation.set_webhook(
        fields.optional_text("url"), secret=fields.optional_text("secret"), version=fields.optional_text("version")
    )


ACTIONS: Final[dict[str, Action]] = {
    "write": _write,
    "colleague": _colleague,
    "reopen": _reopen,
    "new-chat": _new_chat,
    "change-chat": _change_chat,
    "fail": _fail,
    "slow": _slow,
    "lose": _lose,
    "fail-messages": _fail_messages,
    "delay-webhooks": _delay_webhooks,
    "duplicate-webhooks": _duplicate_webhooks,
    "reorder-webhooks": _reorder_webhooks,
    "clear-faults": _clear_faults,
    "set": _set,
    "webhook": _set_webhook,
}
