"""When requests go out, to the moment."""

from __future__ import annotations

from linq_typing import TypingManager

from .kit import VirtualLinq


def test_a_refresh_every_minute_and_one_stop(linq: VirtualLinq, manager: TypingManager) -> None:
    chat = linq.chat()
    with manager.typing_while(chat):
        linq.sleep(150.0)
    linq.sleep(10.0)
    assert linq.moments(chat) == [0.0, 60.0, 120.0]
    assert linq.moments(chat, "stop") == [150.5]
