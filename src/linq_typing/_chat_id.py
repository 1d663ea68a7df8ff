"""Finds the chat id in a call of a decorated function: in a parameter, at a path below one, or with a callable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

ChatIdFrom = str | tuple[str, ...] | Callable[..., str | UUID]
Paths = tuple[str, ...]
#: Reads the chat id from a call's positional and keyword arguments; LookupError if it is not there.
Resolver = Callable[[tuple[Any, ...], dict[str, Any]], object]


def checked_paths(chat_id_from: object) -> tuple[str, ...] | Callable[..., object]:
    if callable(chat_id_from):
        return chat_id_from
    paths = (chat_id_from,) if isinstance(chat_id_from, str) else chat_id_from
    if not isinstance(paths, (tuple, list)) or not all(isinstance(path, str) for path in paths):
        raise TypeError(f"chat_id_from must be a path, several paths or a callable, got {chat_id_from!r}")
    if not paths or not all(step for path in paths for step in path.split(".")):
        raise ValueError(f"chat_id_from must be a path such as 'event.chat.id', got {chat_id_from!r}")
    return tuple(paths)


def chat_id_resolver(chat_id_from: tuple[str, ...] | Callable[..., object], function: Callable[..., Any]) -> Resolver:
    if callable(chat_id_from):
        return _caller(chat_id_from)
    paths = chat_id_from
    if isinstance(function, functools.partial):  # the chat id may be bound already
        bound, resolve_all = function, chat_id_resolver(paths, function.func)
        return lambda args, kwargs: resolve_all((*bound.args, *args), {**bound.keywords, **kwargs})
    signature = inspect.signature(function)
    readers = [_reader(path, signature, function) for path in paths]

    def resolve(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        misses = []
        for reader in readers:
            try:
                return reader(args, kwargs)
            except LookupError as miss:
                misses.append(str(miss))
        raise LookupError("; ".join(misses))

    return resolve


def _caller(chat_id_from: Callable[..., object]) -> Resolver:
    def resolve(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        try:
            return chat_id_from(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            raise LookupError(f"chat_id_from raised {error!r}") from None

    return resolve


def _reader(path: str, signature: inspect.Signature, function: Callable[..., Any]) -> Resolver:
    name, *steps = path.split(".")
    argument = _argument(name, signature, function)

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        value, walked = argument(args, kwargs), name
        for step in steps:
            if value is None:
                break
            value = _step(value, step, walked)
            walked = f"{walked}.{step}"
        if value is None:
            raise LookupError(f"{walked} is None")
        return value

    def resolve(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        try:
            return read(args, kwargs)
        except LookupError as miss:
            raise LookupError(f"no chat id at {path!r}: {miss}" if steps else str(miss)) from None

    return resolve


def _step(value: object, step: str, walked: str) -> object:
    """Look up a key of a mapping, else an attribute."""
    try:
        if isinstance(value, Mapping) and step in value:
            return value[step]
        return getattr(value, step)
    except AttributeError:
        what = "key" if isinstance(value, Mapping) else "attribute"
        raise LookupError(f"{walked} has no {what} {step!r}") from None
    except Exception as error:  # noqa: BLE001 - a property may raise anything
        raise LookupError(f"{walked}.{step} raised {error!r}") from None


def _argument(name: str, signature: inspect.Signature, function: Callable[..., Any]) -> Resolver:
    """Reads one parameter from a call. Binding all of them would be slower."""
    parameters = list(signature.parameters.values())
    named = signature.parameters.get(name)
    if named is None and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise TypeError(
            f"{getattr(function, '__qualname__', function)}{signature} has no parameter {name!r} to take the chat id "
            "from: say where it is with chat_id_from="
        )
    if named is not None and named.kind is named.VAR_KEYWORD:
        return lambda args, kwargs: kwargs
    default = None if named is None or named.default is named.empty else named.default
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    index = positional.index(name) if name in positional else None

    def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        if index is not None and index < len(args):
            return args[index]
        return kwargs.get(name, default)

    return read
