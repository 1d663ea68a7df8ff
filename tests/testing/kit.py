"""What the tests of the pytest plugin share."""

from __future__ import annotations

from patience import PATIENCE, PATIENT

#: By its name, and no other plugin: every run is to take as little time as it can.
PLUGIN = "_linq_typing_pytest"

#: A conftest.py: no test may fail because the machine is busy.
CONFTEST = f"""{PATIENT}
from linq_typing.sandbox._simulation import Simulation

Simulation.wait_until.__defaults__ = ({PATIENCE},)
"""

#: A bot, as its author writes it.
BOT = """
    import os
    import httpx
    from linq_typing import typing_while, watch

    linq = watch(httpx.Client(
        base_url=os.environ["LINQ_API_V3_BASE_URL"],
        headers={"Authorization": f"Bearer {os.environ['LINQ_API_V3_API_KEY']}"},
        timeout=60,
    ))

    def send(chat_id, text):
        message = {"parts": [{"type": "text", "value": text}]}
        linq.post(f"/v3/chats/{chat_id}/messages", json={"message": message}).raise_for_status()

    @typing_while
    def reply(chat_id, text):
        send(chat_id, text.upper())

    def start(chat_id):
        linq.post(f"/v3/chats/{chat_id}/typing").raise_for_status()
"""
