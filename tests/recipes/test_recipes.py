"""All recipes: short, narrow, shown in a page, and run by a test."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from examples.kit import EXAMPLES

RECIPES = sorted((EXAMPLES / "recipes").glob("*.py"))
PAGES = EXAMPLES.parent / "docs" / "how-to"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_fits_a_page(recipe: Path) -> None:
    """Pages leave out what stands above the first import."""
    lines = recipe.read_text().splitlines()
    assert len(lines) <= 40
    first = ast.parse("\n".join(lines)).body[1].lineno
    assert not any("import" in line for line in lines[: first - 1])
    assert all(len(line) <= 84 for line in lines[first - 1 :])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_a_recipe_is_shown_and_run(recipe: Path) -> None:
    shown = "".join(page.read_text() for page in PAGES.glob("*.md"))
    assert f"{{literalinclude}} ../../examples/recipes/{recipe.name}" in shown
    others = [test for test in Path(__file__).parent.glob("test_*.py") if test != Path(__file__)]
    tests = "".join(file.read_text() for file in [*others, EXAMPLES / "recipes" / "django_asgi.py"])  # it runs the view
    assert f'"{recipe.stem}"' in tests or f"recipes.{recipe.stem}" in tests or f"from .{recipe.stem}" in tests
