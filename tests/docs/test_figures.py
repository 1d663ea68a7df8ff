"""The figures of the pages are those of the results that are kept: nobody types them. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench._charts import CHARTS, Chart
from bench._pages import PAGES, SECTION, SECTIONS, rendered
from bench._results import FOLDER, Results, load


@pytest.fixture(scope="module")
def results() -> Results:
    return load()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_results(page: Path, results: Results) -> None:
    """`python -m tests.bench._pages` writes them anew."""
    text = page.read_text(encoding="utf-8")
    assert SECTION.search(text)
    assert rendered(text, results) == text


def test_every_table_and_chart_is_shown() -> None:
    """On some page."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for _, name, _ in SECTION.findall(text)} == set(SECTIONS)
    assert all(f"](figures/{name}.svg)" in text for name in CHARTS)


@pytest.mark.parametrize(("name", "made"), CHARTS.items(), ids=CHARTS)
def test_charts_are_those_of_the_results(name: str, made: Callable[[Results], Chart], results: Results) -> None:
    """All that is written in them is."""
    drawn = ElementTree.parse(FOLDER / f"{name}.svg").iter("{http://www.w3.org/2000/svg}text")
    assert sorted("".join(text.itertext()) for text in drawn) == sorted(made(results).texts())


def test_a_figure_that_has_changed_is_noticed(results: Results) -> None:
    """In the tables and in the charts."""
    measured = results["memory"].measured[0]
    doubled = measured._replace(values={name: [2 * value for value in each] for name, each in measured.values.items()})
    changed = {**results, "memory": results["memory"]._replace(measured=[doubled])}
    assert any(rendered(text, changed) != text for text in (page.read_text(encoding="utf-8") for page in PAGES))
    assert CHARTS["memory"](changed).texts() != CHARTS["memory"](results).texts()
