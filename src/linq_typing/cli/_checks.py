"""The checks that `linq-typing doctor` makes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

import click

from linq_typing._core.indicator import Action
from linq_typing._settings import ENABLED_VARIABLE, REDIS_URL_VARIABLE, enabled_by_environment, without_password
from linq_typing.cli._access import Access, AccessError, access
from linq_typing.cli._answers import NOT_SHOWN, Problem, answer_of, facts_of, json_result, key_is_known, problem_of
from linq_typing.cli._probe import MAY_HAVE_WORKED, Probe, Prober, ask
from linq_typing.cli._redis import look_at, shown_url
from linq_typing.cli._status import DONE, FAILED
from linq_typing.errors import ConfigurationError

NO_CHAT: Final = "00000000-0000-4000-8000-000000000000"
"""A chat that does not exist. The answer to a stop there tells whether the key is good, and the stop does nothing."""

NOT_LINQ: Final = Problem("This is not an answer from the Linq API.", "Check the base URL.")

DISABLED: Final = Problem(
    f"{ENABLED_VARIABLE} switches typing indicators off: the library sends nothing.", "Unset it, or set it to 1."
)


class Report:
    """Prints the findings: line by line for people, or one JSON object at the end for scripts."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._facts: dict[str, Any] = {}
        self._problem: Problem | None = None

    def add(self, label: str, text: str, **facts: Any) -> None:
        """Add a finding: a line, or members of the JSON object."""
        self._facts.update(facts)
        if not self._as_json:
            click.echo(f"{label:<8} {text}")

    def remember(self, problem: Problem | None) -> None:
        """Something is wrong, but there is more to find out."""
        self._problem = problem

    def success(self, text: str) -> int:
        """End without a further problem. Returns the exit status."""
        if not enabled_by_environment():
            return self.failure(DISABLED)
        if self._problem is not None:
            return self.failure(self._problem)
        self._end(f"All is well. {text}", None)
        return DONE

    def failure(self, problem: Problem) -> int:
        """End with a problem. Returns the exit status."""
        self._end(f"Problem: {problem.what}\nFix: {problem.fix}", problem)
        return FAILED

    def _end(self, text: str, problem: Problem | None) -> None:
        click.echo(json_result(self._facts, problem) if self._as_json else f"\n{text}")


def check(
    chat_id: str | None, hold: float, api_key: str | None, base_url: str | None, redis_url: str | None, as_json: bool
) -> int:
    """Make all checks, and print what they find. Returns the exit status."""
    report = Report(as_json)
    try:
        found = access(api_key, base_url)
        _report_access(report, found)
        _report_redis(report, found, redis_url)
        if chat_id is None:
            return _without_chat(report, found)
        return ask(found.credentials, lambda prober: _with_chat(report, prober, chat_id, hold))
    except AccessError as error:
        return report.failure(Problem(error.problem, error.fix))
    except ConfigurationError as error:
        return report.failure(Problem(f"{error}.", "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."))


def _report_access(report: Report, found: Access) -> None:
    base_url = without_password(found.credentials.base_url or "")
    report.add("key", f"{found.masked_key}, from {found.key_from}", key=found.masked_key, key_from=found.key_from)
    if found.unused_key:
        report.add("", f"{found.unused_key} holds another key, which is not used", unused_key=found.unused_key)
    base_from = f"from {found.base_from}" if found.base_from else "the public one"
    report.add("base", f"{base_url}, {base_from}", base_url=base_url, base_url_from=found.base_from)


def _report_redis(report: Report, found: Access, redis_url: str | None) -> None:
    url, source = redis_url or os.environ.get(REDIS_URL_VARIABLE), "--redis-url" if redis_url else REDIS_URL_VARIABLE
    if url:
        finding, shown = look_at(url, found.credentials), shown_url(url)
        report.add("redis", f"{shown}, from {source}", redis={"url": shown, "url_from": source, **finding.facts})
        report.add("", finding.text)
        report.remember(finding.problem)


def _without_chat(report: Report, found: Access) -> int:
    probe = ask(found.credentials, lambda prober: prober.probe(Action.STOP, NO_CHAT))
    if not key_is_known(probe):
        report.add("request", answer_of(probe), request=facts_of(probe))
        return report.failure(problem_of(probe) or NOT_LINQ)
    text = f"the API answers, and knows the key ({1000 * probe.seconds:.0f} ms)"
    report.add("request", text, request=facts_of(probe))
    return report.success(
        "To see an indicator on a phone, name a chat: linq-typing doctor CHAT_ID (chat.id in a webhook)."
    )


async def _with_chat(report: Report, prober: Prober, chat_id: str, hold: float) -> int:
    start, stop = await _start_and_stop(report, prober, chat_id, hold)
    problem = problem_of(start) or (problem_of(stop) if stop is not None else None)
    if problem is not None:
        return report.failure(problem)
    chat = await prober.chat(chat_id)
    service = chat.get("service")
    if chat:
        report.add("chat", _kind_of(chat), service=service, is_group=bool(chat.get("is_group")))
    if service in ("SMS", "RCS"):
        return report.failure(
            Problem(
                f"This chat uses {service}: requests succeed, but nothing is shown.",
                "Nothing to fix: only iMessage shows an indicator.",
            )
        )
    return report.success(f"If the phone showed nothing: {NOT_SHOWN}")


async def _start_and_stop(report: Report, prober: Prober, chat_id: str, hold: float) -> tuple[Probe, Probe | None]:
    """Makes the stop whenever the start may have worked, also after Ctrl-C."""
    start: Probe | None = None
    stop: Probe | None = None
    try:
        start = await prober.probe(Action.START, chat_id)
        report.add("start", answer_of(start), start=facts_of(start))
        if start.error is None:
            await asyncio.sleep(hold)
    finally:
        if start is None or start.outcome in MAY_HAVE_WORKED:
            stop = await prober.probe(Action.STOP, chat_id)
            report.add("stop", answer_of(stop), stop=facts_of(stop))
    assert start is not None  # otherwise it was cancelled
    return start, stop


def _kind_of(chat: Mapping[str, Any]) -> str:
    return f"{chat.get('service') or 'unknown service'}{', a group' if chat.get('is_group') else ''}"
