"""`linq-typing while`: a command under the indicator, as if it ran alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from patience import PATIENCE

from .kit import Terminal, read_terminal, signals

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

#: Says when it is ready, then waits for the end of its input.
WAITS = "import sys; print('ready', flush=True); sys.stdin.read()"

#: Counts signals from the first one to the end of its input, then ends with a status of its own.
COUNTS = """
import signal, sys
got = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: (got.append(number), print('got', int(number), flush=True)))
print('ready', flush=True)
sys.stdin.readline()
print('all', *map(int, got), flush=True)
sys.exit(7)
"""


def python(program: str) -> tuple[str, ...]:
    return ("--", sys.executable, "-c", program)


@pytest.mark.parametrize("status", [0, 3, 255])
def test_the_indicator_shows_while_the_command_runs_and_its_exit_status_is_passed_on(
    terminal: Terminal, status: int
) -> None:
    chat = terminal.linq.chat()
    with terminal.spawn("while", chat, *python(f"input(); raise SystemExit({status})")) as process:
        terminal.wait_until_visible(chat)
        process.communicate("\n", timeout=PATIENCE)
    assert process.returncode == status
    assert terminal.asked(chat) == ["start", "stop"]
    assert not terminal.linq.visible(chat)


def test_input_and_output_are_the_command_s(terminal: Terminal) -> None:
    shout = "import sys; print(input().upper()); print('oops', file=sys.stderr)"
    done = terminal.run("while", terminal.linq.chat(), *python(shout), input="hello\n")
    assert (done.stdout, done.stderr) == ("HELLO\n", "oops\n")


def test_the_command_s_options_are_its_own(terminal: Terminal) -> None:
    done = terminal.run("while", terminal.linq.chat(), *python("import sys; print(sys.argv[1:])"), "--help", "-x")
    assert (done.returncode, done.stdout) == (0, "['--help', '-x']\n")


def test_options_are_the_session_s(terminal: Terminal) -> None:
    """After its CHAT_ID as well as before it."""
    chat = terminal.linq.chat()
    assert terminal.run("while", chat, "--start-delay", "3600", *python("pass")).returncode == 0
    assert terminal.asked(chat) == []
    with terminal.spawn("while", "--max-duration", "0.1", chat, *python("input()")) as process:
        assert process.stderr is not None
        assert "expired" in process.stderr.readline()
        assert process.poll() is None
        process.communicate("\n", timeout=PATIENCE)


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_command_and_takes_the_indicator_down(terminal: Terminal, number: signal.Signals) -> None:
    chat = terminal.linq.chat()
    program = f"import signal; signal.signal({int(number)}, signal.SIG_DFL); {WAITS}"
    with terminal.spawn("while", chat, *python(program), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        terminal.wait_until_visible(chat)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
        assert process.stderr.read() == ""
    assert terminal.asked(chat) == ["start", "stop"]
    assert not terminal.linq.visible(chat)


@posix
def test_a_command_that_handles_a_signal_has_the_last_word(terminal: Terminal) -> None:
    with terminal.spawn("while", terminal.linq.chat(), *python(COUNTS), start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == f"got {int(signal.SIGTERM)}\n"
        assert process.communicate("\n", timeout=PATIENCE)[0] == f"all {int(signal.SIGTERM)}\n"
    assert process.returncode == 7


@posix
def test_ctrl_c_at_a_terminal_reaches_the_command_once(terminal: Terminal) -> None:
    """The terminal sends it to both of them: passed on, it would arrive twice."""
    chat = terminal.linq.chat()
    ours, theirs = os.openpty()
    control = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    command = terminal.command("while", chat, *python(COUNTS), before=control)
    with signals(signal.SIG_DFL, "SIGINT"):
        process = subprocess.Popen(
            command, env=terminal.env(), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
    os.close(theirs)
    said = b""
    with process:
        for expected, key in ((b"ready", b"\x03"), (b"got", b"\n")):
            while expected not in said:
                said += read_terminal(ours)
            terminal.wait_until_visible(chat)
            os.write(ours, key)
        said += b"".join(iter(lambda: read_terminal(ours), b""))
    os.close(ours)
    assert process.returncode == 7
    assert f"all {int(signal.SIGINT)}\r\n".encode() in said
    assert terminal.asked(chat) == ["start", "stop"]


@posix
def test_a_signal_that_is_ignored_stays_so(terminal: Terminal) -> None:
    """As under nohup."""
    with terminal.spawn("while", terminal.linq.chat(), *python(WAITS), ignored="SIGHUP") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@posix
def test_a_command_that_is_killed_is_told_as_a_shell_does(terminal: Terminal) -> None:
    done = terminal.run("while", terminal.linq.chat(), "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 128 + signal.SIGKILL


def test_an_unknown_command_is_127_and_shows_nothing(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    done = terminal.main("while", chat, "--", "no-such-command")
    assert (done.returncode, done.stderr) == (127, "linq-typing: no-such-command: command not found\n")
    assert terminal.asked(chat) == []


@posix
def test_what_is_not_executable_is_126(terminal: Terminal, tmp_path: Path) -> None:
    chat, file = terminal.linq.chat(), tmp_path / "notes.txt"
    file.write_text("buy milk")
    done = terminal.run("while", chat, "--", str(file))
    assert (done.returncode, done.stderr) == (126, f"linq-typing: {file}: Permission denied\n")
    assert terminal.asked(chat) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nope", "--", "true"), "Invalid value for 'CHAT_ID': 'nope' is not a UUID such as Linq's chat.id"),
        ((), "Missing argument 'CHAT_ID'"),
        ((str(uuid4()),), "Missing argument '-- COMMAND...'"),
        ((str(uuid4()), "ls", "-l"), "put -- first: linq-typing while CHAT_ID -- COMMAND... (see linq-typing while "),
        (
            (str(uuid4()), "--max-duration", "-1", "true"),
            "--max-duration must be a number of seconds, 0 or more, got -1.0",
        ),
        (
            (str(uuid4()), "--max-duration", "nan", "true"),
            "--max-duration must be a number of seconds, 0 or more, got nan",
        ),
    ],
)
def test_bad_arguments_get_one_line_and_status_2(
    terminal: Terminal, arguments: tuple[str, ...], complaint: str
) -> None:
    done = terminal.main("while", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("linq-typing: ")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_option_before_the_dashes_is_not_taken_for_the_command_s(terminal: Terminal) -> None:
    done = terminal.main("while", str(uuid4()), "--what", "--", "true")
    assert done.returncode == 2
    assert "--what" in done.stderr
    assert "put --" not in done.stderr


def test_without_a_key_the_command_is_not_run(terminal: Terminal, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    program = f"open({str(touched)!r}, 'w')"
    done = terminal.run("while", terminal.linq.chat(), *python(program), env={"LINQ_API_V3_API_KEY": None})
    assert done.returncode == 2
    assert done.stderr.startswith("linq-typing: No Linq API key. ")
    assert not touched.exists()


def test_switched_off_it_just_runs_the_command(terminal: Terminal) -> None:
    chat = terminal.linq.chat()
    env = {"LINQ_TYPING_ENABLED": "0", "LINQ_API_V3_API_KEY": None}
    assert terminal.run("while", chat, *python("raise SystemExit(4)"), env=env).returncode == 4
    assert terminal.asked(chat) == []


def test_an_api_that_is_down_changes_nothing_for_the_command(terminal: Terminal) -> None:
    env = {"LINQ_API_V3_BASE_URL": "http://127.0.0.1:1"}
    done = terminal.run("while", terminal.linq.chat(), *python("print('done')"), env=env)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_a_refused_indicator_is_told_beside_the_output(terminal: Terminal) -> None:
    group = terminal.linq.group(typing_allowed=False)
    with terminal.spawn("while", group, *python("input(); print('done')")) as process:
        assert process.stderr is not None
        told = process.stderr.readline()
        assert process.communicate("\n", timeout=PATIENCE)[0] == "done\n"
    assert process.returncode == 0
    assert told.startswith(f"linq-typing: typing start refused in chat {group}, attempt 1: HTTP 403")
