"""The pages and README: their links lead somewhere, and their tables say what the code says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import linq_typing

from .kit import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it tells of what was
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(markdown: str) -> set[str]:
    """What may stand after a `#` in a link: headings as GitHub and MyST spell them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_pages_and_headings_that_exist(page: Path) -> None:
    """Links to other sites aren't tried: no test uses the internet."""
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        found = page if not path else page.parent / path
        assert found.exists(), target
        if anchor and not anchor.startswith("command-"):  # those are generated
            assert anchor in anchors(found.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PRESENT, ids=name_of)
def test_lines_are_short(page: Path) -> None:
    """As in the code. Tables, signatures and whole commands can't be wrapped."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        assert line.startswith(("|", ".. auto", "python3 ")) or len(line) <= 120, f"{name_of(page)}:{number}"


@pytest.mark.parametrize("page", PRESENT, ids=name_of)
def test_files_that_are_named_exist(page: Path) -> None:
    """In backticks: `tests/docs/checks.py`."""
    for name in re.findall(r"`((?:src|tests|examples|docs)/[\w/.-]+)`", page.read_text(encoding="utf-8")):
        assert name.startswith("docs/_build") or (ROOT / name).exists(), name


def check_defaults(markdown: str) -> set[str]:
    """The options in a page's tables have the defaults of the code; returns those found."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", markdown, re.MULTILINE))
    parameters = inspect.signature(linq_typing.TypingManager).parameters
    for name in rows.keys() & parameters.keys():
        shown, default = rows[name].strip("` s"), parameters[name].default
        if isinstance(default, (int, float)) and not isinstance(default, bool):
            assert float(shown) == default, name
        else:
            assert shown in (str(default), "environment"), name
    return rows.keys() & parameters.keys()


def test_the_page_of_options_has_every_option_and_its_default() -> None:
    """Those of a session and those of a manager."""
    assert check_defaults(text_of("docs/reference/options.md")) == set(
        inspect.signature(linq_typing.TypingManager).parameters
    )


def test_the_page_of_events_has_every_kind() -> None:
    """And no other."""
    from typing import get_args

    from linq_typing.events import EventKind

    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text_of("docs/reference/events.md"), re.MULTILINE)
    assert sorted(re.findall(r"\w+", " ".join(rows))) == sorted(get_args(EventKind))


def test_the_page_of_the_api_has_every_public_name() -> None:
    """Those of events and errors are on pages of their own. `EventHook` is an alias."""
    pages = "".join(text_of(f"docs/reference/{page}.md") for page in ("api", "events"))
    documented = set(re.findall(r"^\.\. (?:auto)?(?:class|function):: (\w+)", pages, re.MULTILINE))
    errors = {name for name in linq_typing.__all__ if name.endswith("Error")}
    assert documented == set(linq_typing.__all__) - errors - {"EventHook"}


def test_error_messages_are_the_librarys() -> None:
    """What users search for is there word for word."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/linq_typing").glob("*.py"))
    squeezed = re.sub(r'"\s*f?"', "", source)
    texts = re.findall(r"^\| `\w+: ([^`]+)`", text_of("docs/reference/errors.md"), re.MULTILINE)
    assert len(texts) >= 4
    for text in texts:
        for part in filter(None, text.split("...")):
            pattern = re.escape(part.strip()).replace("'chat_id'", r"\{name!r\}")
            assert re.search(pattern, squeezed), text


def test_the_page_of_the_environment_has_every_variable() -> None:
    """Those that the library reads by itself."""
    from linq_typing._linq import BASE_URL_VARIABLE, KEY_VARIABLES
    from linq_typing._settings import ENABLED_VARIABLE, REDIS_URL_VARIABLE

    page = text_of("docs/reference/environment.md")
    for variable in (*KEY_VARIABLES, BASE_URL_VARIABLE, ENABLED_VARIABLE, REDIS_URL_VARIABLE):
        assert f"| `{variable}` |" in page
