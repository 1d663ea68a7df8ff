"""The picture of a scene: from a view to text, without a clock or a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from linq_typing.cli.demo._picture import LOG_HEIGHT, draw, result, summary
from linq_typing.cli.demo._player import View
from linq_typing.cli.demo._scenes import SCENES, Scene
from linq_typing.sandbox import Showing

from .timelines import SCENE, message, request, timeline, view

QUESTION = message("Where is my parcel?", 0, from_person=True)
REFRESHED = (request("start", 0, change="shown"), request("start", 60, change="extended"))
TYPING = view(timeline(*REFRESHED, now=90, showings=(Showing(0, None, None, 145),), messages=(QUESTION,)))
STOPPED = view(
    timeline(
        *REFRESHED,
        request("stop", 150, change="hidden"),
        now=160,
        showings=(Showing(0, 150, "stop", 205),),
        messages=(QUESTION,),
    ),
    ghost=False,
)


def text(picture: RenderableType, width: int = 80) -> str:
    """The picture without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(picture)
    return capture.get()


def lines(what: View, width: int = 80) -> list[str]:
    return text(draw(what, width), width).splitlines()


def line(what: View, label: str) -> str:
    """The line of the band with this label."""
    return next(line for line in lines(what) if line.startswith(label))


def test_the_phone_shows_the_question_and_the_indicator_while_it_is_visible() -> None:
    drawn = text(draw(TYPING, 80))
    assert "Where is my parcel?" in drawn
    assert "●" in drawn
    assert "55 s left" in drawn


def test_the_phone_shows_no_indicator_when_there_is_none() -> None:
    drawn = text(draw(STOPPED, 80))
    assert "●" not in drawn
    assert "no indicator" in drawn


def test_the_dots_move() -> None:
    later = replace(TYPING, timeline=replace(TYPING.timeline, now=90 + 20 / 3))
    dots = [next(line for line in lines(one) if "●" in line).split("│")[1] for one in (TYPING, later)]
    assert dots[0] != dots[1]


def test_a_message_is_on_the_phone_once_it_has_landed() -> None:
    sent = timeline(request("send", 5, 202, "message"), now=5.5, messages=(message("On Friday.", 5),))
    assert "On Friday." not in text(draw(view(sent), 80))
    assert "On Friday." in text(draw(view(replace(sent, now=6.5)), 80))


def test_the_timeline_is_shown_up_to_now() -> None:
    drawn = text(draw(STOPPED, 80))
    assert "150.0 s  [   ]  #" in drawn
    assert "stop   204        the indicator is gone" in drawn
    assert "now:" not in drawn


def test_only_the_latest_lines_of_the_timeline_are_shown() -> None:
    many = timeline(*(request("start", at) for at in range(30)), now=40)
    shown = [line for line in lines(view(many)) if line.startswith(" ") and " start " in line]
    assert [line.split()[0] for line in shown] == [f"{at:.1f}" for at in range(30 - LOG_HEIGHT, 30)]


def test_the_band_is_thick_while_the_indicator_shows_and_ends_now() -> None:
    band = line(STOPPED, "indicator").removeprefix("indicator").strip()
    assert set(band) == {"━", "╌"}
    assert band.count("━") / len(band) == pytest.approx(150 / 160, abs=0.03)
    assert "╌" not in line(TYPING, "indicator")


def test_the_marks_stand_where_the_requests_arrived() -> None:
    marks = line(STOPPED, "requests")
    assert [mark for mark in marks if mark in "▲△▼◆✗"] == ["▲", "△", "▼"]
    assert marks.index("▼") == pytest.approx(line(STOPPED, "indicator").index("╌"), abs=1)


def test_neighbouring_marks_do_not_cover_each_other() -> None:
    crowd = timeline(*(request("start", at / 100, 500) for at in range(5)), now=10)
    assert line(view(crowd), "requests").count("✗") == 5


def test_a_blocked_loop_is_seen() -> None:
    beats = (*range(10), *range(130, 140))
    blocked = replace(STOPPED, beats=tuple(map(float, beats)))
    assert "blocked" in line(blocked, "your loop")
    assert "loop was blocked: 1." in text(draw(blocked, 80))


def test_a_loop_that_has_just_started_is_drawn() -> None:
    assert "╵" in line(replace(TYPING, timeline=replace(TYPING.timeline, now=5), beats=(0.0, 3.0)), "your loop")


def test_the_model_is_seen_writing() -> None:
    assert "The model writes: It is in" in text(draw(replace(TYPING, draft="It is in"), 80))


@pytest.mark.parametrize(
    ("ghost", "words"),
    [
        (True, "A ghost was left showing."),
        (False, "No ghost."),
    ],
)
def test_the_result_says_whether_a_ghost_was_left(ghost: bool, words: str) -> None:
    assert words in text(draw(replace(STOPPED, ghost=ghost), 80))
    assert words not in text(draw(replace(STOPPED, ghost=None), 80))


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.short_name)
@pytest.mark.parametrize("width", [80, 120])
def test_every_scene_fits_the_terminal_and_keeps_its_height(scene: Scene, width: int) -> None:
    heights = set()
    for what in (TYPING, STOPPED, replace(STOPPED, beats=(0.0, 9.0, 130.0))):
        drawn = lines(replace(what, scene=scene), width)
        assert max(map(len, drawn)) <= width
        heights.add(len(drawn))
    assert len(heights) == 1
    assert heights.pop() <= 23


def test_a_narrow_terminal_does_without_the_phone() -> None:
    drawn = lines(TYPING, 50)
    assert max(map(len, drawn)) <= 50
    assert not any("their phone" in line for line in drawn)


def test_the_result_claims_only_what_came_true() -> None:
    sent = view(timeline(request("send", 5, 202, "message")), ghost=False)
    assert "no stop was needed" in " ".join(result(sent))
    stopped = view(timeline(request("send", 5, 202, "message"), request("stop", 6)), ghost=False)
    assert len(list(result(stopped))) == 1


def test_the_summary_adds_up_and_names_the_ghost() -> None:
    sent = timeline(request("start", 0), request("send", 9, 202))
    views = [
        replace(STOPPED, scene=replace(SCENE, short_name="one")),
        view(sent, scene=replace(SCENE, short_name="other"), ghost=True),
    ]
    drawn = text(summary(views, ascii_only=True))
    assert drawn.isascii()
    rows = {words[0]: words[1:] for words in map(str.split, drawn.splitlines()) if words}
    assert rows["one"] == ["3", "1", "1", "0", "1", "0", "no"]
    assert rows["other"] == ["2", "1", "0", "0", "0", "1", "YES"]
    assert rows["total"] == ["5", "2", "1", "0", "1", "1", "YES"]
