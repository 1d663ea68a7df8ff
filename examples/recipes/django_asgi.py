"""Serves Django over ASGI, and lets it finish at shutdown: Django has no lifespan of its own.

In the folder `examples`, with LINQ_API_V3_API_KEY set: uvicorn recipes.django_asgi:application
"""

import asyncio
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application

from linq_typing import aclose

from .django_view import replies

# Yours are in settings.py.
settings.configure(ROOT_URLCONF="recipes.django_view", ALLOWED_HOSTS=["*"])
django = get_asgi_application()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        await django(scope, receive, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()  # the server shuts down
    await asyncio.gather(*replies, return_exceptions=True)
    await aclose()  # the last stops go out
    await send({"type": "lifespan.shutdown.complete"})
