"""How a webhook is signed and posted. The only module that needs standardwebhooks, which it imports when used."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import datetime
from typing import Any, Final

import httpx

from linq_typing.sandbox._records import Webhook

DEFAULT_SECRET: Final = "whsec_" + base64.b64encode(b"the linq-typing sandbox's secret").decode()

_SUBSCRIPTION = str(uuid.uuid5(uuid.NAMESPACE_URL, "linq-typing:sandbox"))
_TIMEOUT = 10.0  # real seconds for the bot's answer


def post(webhook: Webhook, secret: str, now: datetime) -> int:
    """Post it. Returns the answer's status."""
    # Plain http needs no certificates, which are slow to load; a proxy cannot reach this machine's ports.
    with httpx.Client(timeout=_TIMEOUT, trust_env=False, verify=webhook.url.startswith("https:")) as client:
        return client.post(webhook.url, content=webhook.body, headers=headers(webhook, secret, now)).status_code


def headers(webhook: Webhook, secret: str, now: datetime) -> dict[str, str]:
    """Both sets of signature headers, as Linq sends them, and the chat's id for routing."""
    timestamp = str(int(now.timestamp()))
    legacy = hmac.new(secret.encode(), f"{timestamp}.{webhook.body}".encode(), hashlib.sha256)
    return {
        "content-type": "application/json",
        "user-agent": "linq-typing-sandbox",
        "webhook-id": webhook.event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signer(secret).sign(webhook.event_id, now, webhook.body),
        "x-webhook-event": webhook.event,
        "x-webhook-subscription-id": _SUBSCRIPTION,
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": legacy.hexdigest(),
        "linq-chat-id": webhook.chat_id,
    }


def signer(secret: str) -> Any:
    """A signer of Standard Webhooks."""
    try:
        from standardwebhooks import Webhook as Signer
    except ModuleNotFoundError as error:
        raise ImportError('webhooks need standardwebhooks: pip install "linq-typing[sandbox]"') from error
    return Signer(secret)


def check_url(url: str) -> None:
    """Raise a `ValueError` unless it is an HTTP URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"webhook must be an http:// or https:// URL, got {url!r}")


def check_secret(secret: str) -> None:
    """Raise a `ValueError` unless it is a secret of Standard Webhooks."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False)
    except ValueError:
        key = b""
    if not key:
        raise ValueError(f"webhook_secret must be base64, with or without whsec_ before it, got {secret!r}")
