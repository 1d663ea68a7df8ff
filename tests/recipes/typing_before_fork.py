"""Imported by the main process of a Celery worker, before its pool forks: it types until it exits."""

import os

from linq_typing import typing_while

block = typing_while(os.environ["LINQ_CHAT_ID"])
block.__enter__()
