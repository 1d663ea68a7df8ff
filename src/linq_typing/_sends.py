"""Notices messages that go out through clients of httpx and httpx2, the official SDK's included.

Requests are watched around ``client.send``. Every request of a client goes through it, and only there are time-outs,
refused connections and cancellations visible too (httpx's response hooks don't run for them). Each retry of the SDK is
a request of its own.
"""

from __future__ import annotations

import contextlib
import functools
import types
import weakref
from typing import Any, TypeVar

from ._clients import HTTPXClient, classes, http_client_of
from ._engine.process import process_lock
from ._exchange import Listener, Refs, wrap_send

C = TypeVar("C")

_listeners: Refs = ()
_watching: dict[int, tuple[weakref.ref[HTTPXClient], Refs]] = {}  # by id(): a client may have no __hash__
_watched_classes: dict[type, type] = {}  # class -> its subclass with a watched send
_patched: dict[type[HTTPXClient], tuple[Any, Any]] = {}  # class -> its own send, and ours


def add_listener(listener: Listener) -> None:
    """Tell ``listener`` about the messages that ``watch_all`` notices."""
    global _listeners
    with process_lock():
        _listeners = (*_alive(_listeners), weakref.ref(listener))


def watch(client: C, listener: Listener) -> C:
    """Tell ``listener`` about the messages that go out through ``client``. TypeError for another type of client."""
    http_client = http_client_of(client)
    key = id(http_client)
    with process_lock():
        if key not in _watching:
            _patch_instance(http_client)
            forget = functools.partial(_watching.pop, key)  # runs no Python code, so no signal handler either
            _watching[key] = (weakref.ref(http_client, forget), ())
        ref, watchers = _watching[key]
        if not any(watcher() is listener for watcher in watchers):
            _watching[key] = (ref, (*_alive(watchers), weakref.ref(listener)))
    return client


def transfer(old: Listener, new: Listener) -> None:
    """Make ``new`` watch the clients that ``old`` watches."""
    with process_lock():
        for ref, watchers in list(_watching.values()):
            client = ref()
            if client is not None and any(watcher() is old for watcher in watchers):
                watch(client, new)


def watch_all() -> None:
    """Notice messages through every httpx client of the process, present and future.

    For bots that create a client per call. Includes clients of the official SDK and one-off ``httpx.post(...)`` calls,
    and the clients of httpx2, if it has been imported by then.
    Every manager of the process notices them. Idempotent; may be called from any thread. Undone by
    :func:`unwatch_all`.
    """
    with process_lock():
        for kind in classes("Client", "AsyncClient"):
            if kind not in _patched:
                _patch_class(kind)


def unwatch_all() -> None:
    """Undo :func:`watch_all`. Clients given to ``watch`` stay watched. May be called from any thread."""
    with process_lock():
        for kind, (original, ours) in list(_patched.items()):
            del _patched[kind]  # which makes ours a no-op, even if something has wrapped it
            if kind.send is ours:
                kind.send = original  # type: ignore[method-assign]


def _alive(refs: Refs) -> Refs:
    return tuple(ref for ref in refs if ref() is not None)


# -- Patching


def _patch_instance(client: HTTPXClient) -> None:
    """Watch the ``send`` of one client.

    The client gets a subclass of its class with another ``send``. A function stored on the instance would either keep
    the client from being freed, or not keep it alive: a bound ``client.send`` must.
    """
    kind: Any = type(client)
    if kind in _watched_classes.values():  # a copy of a watched client
        return
    if not issubclass(kind, classes("Client", "AsyncClient")):  # a mock of a client: leave its send to the test
        return
    if "send" not in vars(client):
        with contextlib.suppress(TypeError, ValueError, AttributeError):  # its class may not allow subclasses
            client.__class__ = _watched_class(kind)
            return
    # No subclass is possible, or the instance has a ``send`` of its own: wrap the present ``client.send``.
    ref = weakref.ref(client)
    is_async = isinstance(client, classes("AsyncClient"))
    vars(client)["send"] = wrap_send(client.send, is_async, lambda *_: _watchers(ref()))


def _watched_class(kind: Any) -> Any:
    if kind not in _watched_classes:

        @functools.wraps(kind.send)
        def original(self: Any, *args: Any, **kwargs: Any) -> Any:
            return super(watched, self).send(*args, **kwargs)

        names = {
            "send": wrap_send(original, issubclass(kind, classes("AsyncClient")), lambda client, *_: _watchers(client)),
            "__class__": property(lambda self: kind),  # dataclasses compare it in ==
            **{name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")},
        }
        watched: Any = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(names))
        _watched_classes[kind] = watched
    return _watched_classes[kind]


def _watchers(client: object) -> Refs:
    watching = _watching.get(id(client))
    return watching[1] if watching else ()


def _patch_class(kind: type[HTTPXClient]) -> None:
    original = kind.send

    def audience(client: HTTPXClient, *args: Any) -> Refs:
        if _patched.get(kind, (None, None))[1] is not ours:
            return ()
        told_already = _watchers(client)
        return tuple(ref for ref in _listeners if ref not in told_already)

    ours = wrap_send(original, issubclass(kind, classes("AsyncClient")), audience)
    _patched[kind] = (original, ours)
    kind.send = ours  # type: ignore[method-assign]
