"""README.md: short, its commands complete, its tables true."""

from __future__ import annotations

import re

from .kit import ROOT, blocks_of
from .test_pages import check_defaults

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    """One screen's patience."""
    assert 150 <= len(README.splitlines()) <= 200


def test_the_first_block_is_near_the_top() -> None:
    """Before anything else is explained."""
    assert blocks_of("README.md")[0].line <= 30


def test_the_picture_is_near_the_top() -> None:
    """And is there."""
    above, _, rest = README.partition("](docs/sandbox.png)")
    assert rest
    assert len(above.splitlines()) <= 30


def test_options_table_has_the_defaults_of_the_code() -> None:
    """As far as it goes."""
    assert len(check_defaults(README)) >= 6


def test_shell_commands_do_their_own_set_up() -> None:
    """From a bare Python; `.ci/run` runs them."""
    commands = [line for line in README.splitlines() if line.startswith("python3 ")]
    assert len(commands) == 2
    for command in commands:
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e '.[")
        extra = command.split("'.[")[1].split("]")[0]
        assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_it_names_files_that_exist() -> None:
    """In backticks; for links see test_pages."""
    for name in re.findall(r"`([\w/.]+(?:\.md|\.py|/))`", README):
        assert name.startswith(".venv") or (ROOT / name).exists(), name
