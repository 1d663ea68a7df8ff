"""What `linq-typing sandbox` says of its options."""

from __future__ import annotations

import pytest

from linq_typing import cli
from linq_typing.cli._commands import sandbox

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REFUSED = (
    "linq-typing: Invalid value for '--webhook-secret': must be whsec_ followed by base64, as Linq gives it "
    "(see linq-typing sandbox --help)\n"
)


@pytest.mark.parametrize(
    "secret", ["foo", SECRET.removeprefix("whsec_"), "whsec_", "whsec_abcde", "whsec_ab*=", "whsec_\u043a"]
)
@pytest.mark.parametrize("by_variable", [False, True])
def test_a_secret_that_is_none_is_refused_and_not_repeated(
    secret: str, by_variable: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if by_variable:
        monkeypatch.setenv("LINQ_WEBHOOK_SECRET", secret)
    # Another option is wrong too: the command must end even if it takes the secret.
    assert cli.main(["sandbox", *([] if by_variable else ["--webhook-secret", secret]), "--time-scale", "0"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.replace(" (env var: 'LINQ_WEBHOOK_SECRET')", "")) == ("", REFUSED)  # click 8.1.0 does not add it


def test_a_secret_is_taken() -> None:
    context = sandbox.make_context("sandbox", ["--webhook-secret", SECRET])
    assert context.params["webhook_secret"] == SECRET


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--time-scale", "0", "--time-scale must be a number above 0, got 0.0"),
        ("--shown-for", "-1", "--shown-for must be seconds, 0 or more, got -1.0"),
        ("--active-for", "nan", "--active-for must be seconds, 0 or more, got nan"),
        ("--settle", "-1", "--settle must be "),
        ("--webhook", "nowhere", "--webhook must be an http:// or https:// URL, got 'nowhere'"),
    ],
)
def test_options_are_named_as_they_are_written(
    option: str, value: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sandbox", option, value]) == 2
    assert capsys.readouterr().err.startswith(f"linq-typing: {complaint}")
