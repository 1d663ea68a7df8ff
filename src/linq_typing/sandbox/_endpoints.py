"""The endpoints: each checks its request, changes the model, and returns its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from linq_typing.sandbox import _bodies as bodies
from linq_typing.sandbox._chat import Chat
from linq_typing.sandbox._faults import Faults
from linq_typing.sandbox._http import ApiError
from linq_typing.sandbox._model import LINE, Model
from linq_typing.sandbox._records import Endpoint, Message, MessageKind
from linq_typing.sandbox._request_log import Effect


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request, as an endpoint sees it."""

    model: Model
    target: str
    """The id in the path, or empty."""
    body: Mapping[str, Any]
    key: str | None
    """The `Idempotency-Key` header."""
    trace_id: str
    faults: Faults

    @property
    def chat(self) -> Chat:
        return self.model.chat(self.target)


class Reply(NamedTuple):
    """A successful answer and the request's effect."""

    status: int
    body: bodies.Json | None = None
    effect: Effect | None = None


class Route(NamedTuple):
    endpoint: Endpoint
    handle: Callable[[Call], Reply]
    has_body: bool = False


def find_route(method: str, path: str) -> tuple[Route | None, str]:
    """The route for `/v3/...`, and the id in the path."""
    match path.split("/"):
        case ["", "v3", kind]:
            return ROUTES.get((method, kind)), ""
        case ["", "v3", kind, target]:
            return ROUTES.get((method, f"{kind}/*")), target
        case ["", "v3", kind, target, action]:
            return ROUTES.get((method, f"{kind}/*/{action}")), target
    return None, ""


def find_chat(call: Call) -> Chat | None:
    """The chat of a request whose path does not name it, if the chat exists yet."""
    message = call.model.get_message(call.target)
    if message is not None:
        return call.model.chat(message.chat_id)
    people = call.body.get("to")
    if not isinstance(people, list):
        return None
    return call.model.chat_between(map(str, people), call.body.get("from"))


def _accept(
    call: Call,
    chat: Chat,
    text: str = "",
    *,
    kind: MessageKind = "message",
    key: str | None = None,
    options: Sequence[str] = (),
) -> tuple[Message, Effect]:
    def failure() -> int | None:
        fault = call.faults.pick_failure(chat.id)
        return fault.failure_code if fault else None

    return call.model.send(chat, text, kind=kind, key=key, options=options, failure=failure)


def _start(call: Call) -> Reply:
    return Reply(204, effect=call.model.start(call.chat))


def _stop(call: Call) -> Reply:
    return Reply(204, effect=call.model.stop(call.chat))


def _send(call: Call) -> Reply:
    content = _message(call.body)
    message, effect = _accept(call, call.chat, _text(content), key=_key(call, content))
    return Reply(202, bodies.sent(call.model, call.chat, message, content), effect)


def _voice_memo(call: Call) -> Reply:
    sources = [name for name in ("voice_memo_url", "attachment_id") if call.body.get(name)]
    if len(sources) != 1:
        raise ApiError(400, 1001, "Either voice_memo_url or attachment_id must be provided, but not both")
    message, effect = _accept(call, call.chat, kind="voicememo", key=call.key)
    return Reply(202, bodies.voice_memo(call.model, call.chat, message, call.body), effect)


def _poll(call: Call) -> Reply:
    content = _object(call.body, "poll")
    options = [str(_field(option, "text")) for option in _list(content, "options")]
    if len(options) < 2:
        raise ApiError(400, 1005, "A poll needs at least two options")
    text, key = " / ".join(options), _key(call, content)
    message, effect = _accept(call, call.chat, text, kind="poll", key=key, options=options)
    return Reply(202, bodies.poll(call.model, call.chat, message), effect)


def _create_chat(call: Call) -> Reply:
    content = _message(call.body)
    people, line = _people(call.body), str(_field(call.body, "from"))
    chat = call.model.chat_between(people, line) or call.model.add_chat(people, line=line)
    message, effect = _accept(call, chat, _text(content), key=_key(call, content))
    return Reply(201, bodies.created_chat(call.model, chat, message, content), effect)


def _create_message(call: Call) -> Reply:
    content = _message(call.body)
    people = _people(call.body)
    known = call.model.chat_between(people)
    chat = known or call.model.add_chat(people, line=LINE)
    message, effect = _accept(call, chat, _text(content), key=_key(call, content))
    answer = bodies.created_message(call.model, chat, message, content, is_new=known is None)
    return Reply(202, answer, effect)


def _update_card(call: Call) -> Reply:
    layout = _object(call.body, "layout")
    chat = call.model.chat(call.model.message(call.target).chat_id)
    message, effect = _accept(call, chat, str(layout.get("caption") or ""), kind="update", key=call.key)
    return Reply(202, bodies.sent(call.model, chat, message, {}), effect)


def _react(call: Call) -> Reply:
    call.model.message(call.target)
    _field(call.body, "operation")
    _field(call.body, "type")
    return Reply(202, bodies.reaction(call.trace_id))


def _read(call: Call) -> Reply:
    call.model.read(call.chat)
    return Reply(204)


def _get_chat(call: Call) -> Reply:
    return Reply(200, bodies.chat_details(call.model, call.chat))


ROUTES: dict[tuple[str, str], Route] = {
    ("POST", "chats/*/typing"): Route("start", _start),
    ("DELETE", "chats/*/typing"): Route("stop", _stop),
    ("POST", "chats/*/messages"): Route("send", _send, has_body=True),
    ("POST", "chats/*/voicememo"): Route("send", _voice_memo, has_body=True),
    ("POST", "chats/*/polls"): Route("send", _poll, has_body=True),
    ("POST", "chats"): Route("send", _create_chat, has_body=True),
    ("POST", "messages"): Route("send", _create_message, has_body=True),
    ("POST", "messages/*/update"): Route("send", _update_card, has_body=True),
    ("POST", "messages/*/reactions"): Route("react", _react, has_body=True),
    ("POST", "chats/*/read"): Route("read", _read),
    ("GET", "chats/*"): Route("get", _get_chat),
}


def _key(call: Call, content: Mapping[str, Any]) -> str | None:
    return call.key or content.get("idempotency_key")


def _message(body: Mapping[str, Any]) -> Mapping[str, Any]:
    content = _object(body, "message")
    if not content.get("parts") and not content.get("experience"):
        raise ApiError(400, 1004)
    if not all(isinstance(part, dict) and "type" in part for part in content.get("parts") or ()):
        raise ApiError(400, 1004)
    return content


def _text(content: Mapping[str, Any]) -> str:
    return " ".join(str(part["value"]) for part in content.get("parts") or () if "value" in part)


def _people(body: Mapping[str, Any]) -> list[str]:
    people = _list(body, "to")
    if not people:
        raise ApiError(400, 1001, "Missing required field: to")
    return [str(handle) for handle in people]


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _field(body, name)
    if not isinstance(value, dict):
        raise ApiError(400, 1003, f"{name} must be an object")
    return value


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    value = _field(body, name)
    if not isinstance(value, list):
        raise ApiError(400, 1003, f"{name} must be an array")
    return value


def _field(body: object, name: str) -> Any:
    if not isinstance(body, dict) or body.get(name) is None:
        raise ApiError(400, 1001, f"Missing required field: {name}")
    return body[name]
