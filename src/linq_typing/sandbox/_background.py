"""Delivers webhooks on threads, so that nothing waits for the bot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from linq_typing.sandbox._webhooks import WebhookSender

_POLL_INTERVAL = 0.01  # real seconds; waiting for the exact moment would miss a change of the time scale


class BackgroundSender(WebhookSender):
    """One thread waits for scheduled deliveries while there are any; each delivery runs on its own thread."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None
        super().__init__(*arguments, **options)

    def _wake(self) -> None:
        with self._lock:
            self._woken.set()
            if self._thread is None:
                self._thread = self._in_thread(self._run)

    def _start(self, call: Callable[[], None]) -> None:
        self._in_thread(call)

    def _run(self) -> None:
        while True:
            self._woken.clear()
            self.run_due()
            with self._lock:
                if not self._schedule and not self._woken.is_set():
                    self._thread = None
                    return
            self._woken.wait(_POLL_INTERVAL)

    def _in_thread(self, call: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=call, name="linq-webhook", daemon=True)
        thread.start()
        return thread
