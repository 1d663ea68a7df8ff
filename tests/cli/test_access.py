"""Which key and base URL the commands use, and what they say of those that can't be used."""

from __future__ import annotations

import sys

import pytest

from patience import PATIENCE

from .kit import Terminal, Variables

CHAT = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
COMMANDS = {
    "while": ("while", CHAT, "--", sys.executable, "-c", "print('ran')"),
    "start": ("start", CHAT),
    "stop": ("stop", CHAT),
}

UNUSABLE: list[tuple[tuple[str, ...], Variables, str]] = [
    ((), {"LINQ_API_V3_API_KEY": None}, "No Linq API key. Set LINQ_API_V3_API_KEY (or LINQ_API_KEY), or pass"),
    (
        (),
        {"LINQ_API_V3_API_KEY": None, "LINQ_API_TOKEN": "x"},
        "No Linq API key. LINQ_API_TOKEN is set, but that is not the variable's name. Set LINQ_API_V3_API_KEY",
    ),
    (("--api-key", ""), {}, "--api-key is empty. Set LINQ_API_V3_API_KEY"),
    ((), {"LINQ_API_V3_API_KEY": "a b"}, "The key in LINQ_API_V3_API_KEY contains characters not allowed in an HTTP "),
    (("--api-key", "\u043a"), {}, "The key in --api-key contains characters not allowed in an HTTP header. Copy it "),
    (
        (),
        {"LINQ_API_V3_BASE_URL": "api.example.com", "LINQ_API_V3_API_KEY": None},
        "LINQ_API_V3_BASE_URL is not an http:// or https:// URL: 'api.example.com'. Write it like https://api.linqapp.",
    ),
    (("--base-url", "api.example.com"), {}, "--base-url is not an http:// or https:// URL: 'api.example.com'. Write"),
    ((), {"NO_PROXY": None, "ALL_PROXY": "gopher://x"}, "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."),
]

WRONG: Variables = {"LINQ_API_V3_API_KEY": "wrong", "LINQ_API_V3_BASE_URL": "nonsense"}


def options_of(terminal: Terminal) -> tuple[str, ...]:
    return ("--api-key", terminal.linq.api_key, "--base-url", terminal.linq.base_url)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("options", "env", "complaint"), UNUSABLE)
def test_what_can_not_be_used_is_one_line_and_status_2(
    terminal: Terminal, command: str, options: tuple[str, ...], env: Variables, complaint: str
) -> None:
    name, *rest = COMMANDS[command]
    done = terminal.main(name, *options, *rest, env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("linq-typing: ")
    assert complaint in done.stderr
    assert "api_key" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("options", "env", "complaint"), UNUSABLE)
def test_for_the_doctor_it_is_a_problem(
    terminal: Terminal, options: tuple[str, ...], env: Variables, complaint: str
) -> None:
    done = terminal.main("doctor", *options, env=env)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\nProblem: " in done.stdout
    assert complaint in done.stdout.replace("\nFix: ", " ")


@pytest.mark.parametrize("command", ["start", "stop"])
def test_the_options_come_before_the_environment(terminal: Terminal, command: str) -> None:
    chat = terminal.linq.chat()
    done = terminal.main(command, chat, *options_of(terminal), env=WRONG)
    assert (done.returncode, done.stderr, terminal.asked(chat)) == (0, "", [command])


def test_while_uses_the_options(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    command = ("while", chat, *options_of(terminal), "--", sys.executable, "-c", "input()")
    with terminal.spawn(*command, env=WRONG) as process:
        terminal.wait_until_visible(chat)
        assert process.communicate("\n", timeout=PATIENCE) == ("", "")
    assert process.returncode == 0


def test_the_doctor_names_the_options(terminal: Terminal) -> None:
    done = terminal.main("doctor", *options_of(terminal), env=WRONG)
    assert done.returncode == 0
    assert done.stdout.splitlines()[:3] == [
        "key      *** (11 characters), from --api-key",
        "         LINQ_API_V3_API_KEY holds another key, which is not used",
        f"base     {terminal.linq.base_url}, from --base-url",
    ]
