"""The import graph points one way, and each outside package is known to few. Read from the source, not from memory."""

import ast
import importlib
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import linq_typing

ROOT = Path(linq_typing.__file__).parent

#: The layers of the design. A module imports from its own level or below, and never in a circle.
LEVELS = {
    "_linq": 0,
    "errors": 0,
    "_chat_id": 1,
    "_json": 1,
    "_settings": 1,
    "events": 1,
    "_core.timer_queue": 1,
    "_core.circuit_breaker": 1,
    "_core.indicator": 2,
    "_core.request_queue": 1,
    "_core.shared_indicator": 3,
    "_core.member": 4,
    "_core.observations": 3,
    "_engine.waiting": 1,
    "_engine.loop": 2,
    "_engine.process": 3,
    "_engine.answers": 3,
    "_engine.transports": 3,
    "_engine.fast": 4,  # only with the extra
    "_engine.http": 4,
    "_engine.interface": 4,
    "_engine.chat": 4,
    "_engine.flushing": 5,
    "_engine.outcomes": 5,
    "_engine.runner": 6,
    "_engine.sharing": 5,
    "_engine.shared_runner": 7,
    "_engine.lifecycle": 7,
    "_engine.observing": 8,
    "_engine.engine": 9,
    "_engine.source": 10,
    "webhooks": 10,
    "redis": 8,  # only with the extra
    "_session": 10,
    "_clients": 10,
    "_streams": 10,
    "_exchange": 11,
    "_sends": 12,
    "_wrappers": 12,
    "_typing_while": 13,
    "_manager": 14,
    "_default": 15,
}
FACE = 16  # __init__, testing, sandbox, cli: nothing below imports them

#: Who may import what. Everything else in the core is the standard library without these.
MAY_IMPORT = {
    "tenacity": {"_engine.http"},
    "asyncio": {
        "_engine.fast",
        "_engine.http",
        "_engine.transports",
        "_engine.lifecycle",
        "_engine.loop",
        "_engine.observing",
        "_engine.runner",
        "_engine.sharing",
        "_engine.waiting",
        "redis",
    },
    "threading": {"_engine.loop", "_engine.process", "_engine.waiting"},
    "httpx": {
        "_engine.answers",
        "_engine.fast",
        "_engine.http",
        "_engine.source",
        "_engine.transports",
        "_clients",
        "_exchange",
        "_streams",
        "_manager",
    },
    "trio": {"_engine.waiting"},  # and only inside of a function
    "atexit": {"_engine.process"},
    "aiohttp": {"_engine.fast"},
    "yarl": {"_engine.fast"},
    "redis": {"redis"},
    "contextvars": {"_engine.loop", "_session"},
}
PURE = (
    "_core.timer_queue",
    "_core.circuit_breaker",
    "_core.indicator",
    "_core.observations",
    "_core.request_queue",
    "_linq",
    "errors",
)
CORE = sorted(LEVELS)
#: What is imported only for what needs an extra: redis=, transport="fast".
WITH_EXTRAS = {
    "_core.member",
    "_core.shared_indicator",
    "_engine.fast",
    "_engine.shared_runner",
    "_engine.sharing",
    "redis",
}


class Import(NamedTuple):
    """One imported module, and how."""

    name: str  # "linq_typing._engine.loop" or "httpx"
    lazy: bool  # inside of a function
    for_types: bool  # under TYPE_CHECKING


def _path(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _imports(
    node: ast.AST, package: str = "linq_typing", *, lazy: bool = False, for_types: bool = False
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, lazy, for_types) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - child.level] if child.level else []
            origin = ".".join([*above, *filter(None, [child.module])])
            if origin == package or origin == "linq_typing":  # from . import _loop
                yield from (Import(f"{origin}.{alias.name}", lazy, for_types) for alias in child.names)
            else:
                yield Import(origin, lazy, for_types)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, package, lazy=lazy, for_types=True)
        else:
            inside = lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _imports(child, package, lazy=inside, for_types=for_types)


def _imports_of(module: str) -> Iterator[Import]:
    return _imports(_tree(module), f"linq_typing.{module}".rpartition(".")[0])


def _own(module: str) -> Iterator[tuple[str, Import]]:
    """What a module imports of the library itself, by its short name."""
    for found in _imports_of(module):
        if found.name.startswith("linq_typing."):
            yield found.name.removeprefix("linq_typing."), found


def _roots(module: str) -> dict[str, Import]:
    """The outside packages that a module imports."""
    return {i.name.split(".")[0]: i for i in _imports_of(module) if not i.name.startswith("linq_typing")}


# -- The graph


def test_every_module_of_the_core_has_a_level() -> None:
    """A new one has to be placed; the public face is on top without being named."""
    paths = [*ROOT.glob("_[!_]*.py"), *ROOT.glob("_[!_]*/[!_]*.py")]
    found = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    assert found | {"errors", "events", "redis", "webhooks"} == set(LEVELS)


@pytest.mark.parametrize("module", CORE)
def test_imports_go_downward(module: str) -> None:
    """At run time; what is only for the type checker may look up, but see the test of circles."""
    for name, found in _own(module):
        assert found.for_types or LEVELS.get(name, FACE) <= LEVELS[module], f"{module} imports {name}"


@pytest.mark.parametrize("module", CORE)
def test_nothing_of_the_core_knows_the_public_face(module: str) -> None:
    """Not even inside of a function or for the type checker."""
    assert {name for name, _ in _own(module)} <= set(LEVELS)


def test_there_is_no_circle() -> None:
    """Counting the imports for the type checker and those inside of functions as well."""
    graph = {module: {name for name, _ in _own(module)} for module in CORE}
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")
    assert set(order) == set(CORE)


def test_the_checks_see_all_forms_of_import() -> None:
    """Whoever checks has to be checked."""
    source = """
        import httpx._client as c
        from . import loop, process
        from .http import TypingAPI
        from ..errors import LinqTypingError
        if TYPE_CHECKING:
            from .._sends import Listener
        def f():
            try:
                import trio
            except ImportError:
                from linq_typing import testing
    """
    assert list(_imports(ast.parse(textwrap.dedent(source)), "linq_typing._engine")) == [
        Import("httpx._client", False, False),
        Import("linq_typing._engine.loop", False, False),
        Import("linq_typing._engine.process", False, False),
        Import("linq_typing._engine.http", False, False),
        Import("linq_typing.errors", False, False),
        Import("linq_typing._sends", False, True),
        Import("trio", True, False),
        Import("linq_typing.testing", True, False),
    ]


# -- What lies outside


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_is_imported_only_where_it_is_meant_to_be(package: str) -> None:
    """And is imported there: a line of this table that has become idle is taken out."""
    assert {module for module in CORE if package in _roots(module)} == MAY_IMPORT[package]


def test_trio_is_imported_only_when_it_runs() -> None:
    """It is no dependency."""
    assert _roots("_engine.waiting")["trio"].lazy


@pytest.mark.parametrize("module", PURE)
def test_the_pure_modules_do_nothing_but_compute(module: str) -> None:
    """No clock, no I/O, no task, no log."""
    pure = {"__future__", "collections", "dataclasses", "enum", "heapq", "itertools", "math", "re", "typing"}
    assert set(_roots(module)) <= pure


@pytest.mark.parametrize("module", CORE)
def test_the_core_needs_only_httpx_and_tenacity(module: str) -> None:
    """Everything else at import time is the standard library."""
    needed = {root for root, found in _roots(module).items() if not (found.lazy or found.for_types)}
    extra = {"redis": {"redis"}, "_engine.fast": {"aiohttp", "yarl"}}
    assert needed <= sys.stdlib_module_names | {"httpx", "tenacity"} | extra.get(module, set())


def test_the_package_is_imported_without_any_extra() -> None:
    """In an interpreter where nothing but the two dependencies and theirs exists. It brings all modules of its own, and
    the first decorator what httpx imports with its first request; no thread is started."""
    program = """
        import sys
        ALLOWED = {"httpx", "tenacity", "linq_typing",
                   "httpcore", "h11", "anyio", "idna", "certifi", "sniffio", "typing_extensions", "exceptiongroup"}
        class Bare:
            def find_spec(self, name, path=None, target=None):
                root = name.partition(".")[0]
                if root not in ALLOWED and root not in sys.stdlib_module_names:
                    raise ModuleNotFoundError(f"No module named {name!r} here", name=name)
        sys.meta_path.insert(0, Bare())
        import linq_typing, threading
        print(*sorted(name.partition(".")[2] for name in sys.modules if name.startswith("linq_typing.")))
        @linq_typing.typing_while
        def reply(chat_id): ...
        assert {"httpcore", "anyio._backends._asyncio"} <= set(sys.modules)
        assert threading.active_count() == 1
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    assert {*done.stdout.split()} - {"_core", "_engine"} == set(CORE) - WITH_EXTRAS


# -- The public face


def test_init_has_no_logic() -> None:
    """A docstring, imports, ``__all__`` and where the names say they are from: one screen."""
    docstring, *imports, names, _ = _tree("__init__").body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(each, ast.ImportFrom) for each in imports)
    assert isinstance(names, ast.Assign)
    assert ast.unparse(names.targets[0]) == "__all__"
    assert len(_path("__init__").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("name", [name for name in linq_typing.__all__ if name != "EventHook"])  # an alias of typing's
def test_public_names_come_from_public_modules(name: str) -> None:
    """In tracebacks, pickles and documentation."""
    assert getattr(linq_typing, name).__module__ in ("linq_typing", "linq_typing.errors", "linq_typing.events")


def test_all_is_sorted_and_complete() -> None:
    """What is imported is exported, nothing twice, and it is what the design says."""
    imported = [alias.asname or alias.name for node in _tree("__init__").body if isinstance(node, ast.ImportFrom)
                for alias in node.names]  # fmt: skip
    assert linq_typing.__all__ == sorted(set(linq_typing.__all__))
    assert set(linq_typing.__all__) == set(imported)
    assert set(linq_typing.__all__) == {
        "APIConnectionError",
        "APIStatusError",
        "APITimeoutError",
        "ConfigurationError",
        "EventHook",
        "LinqTypingError",
        "Stats",
        "TypingEvent",
        "TypingManager",
        "TypingSession",
        "TypingWhile",
        "aclose",
        "aflush",
        "close",
        "configure",
        "current_session",
        "flush",
        "mark_sent",
        "observe",
        "stats",
        "typing_while",
        "unwatch_all",
        "watch",
        "watch_all",
    }


@pytest.mark.parametrize("module", CORE)
def test_every_all_is_sorted_and_true(module: str) -> None:
    """Where a module says what it gives, it is sorted and there."""
    imported = importlib.import_module(f"linq_typing.{module}")
    names = getattr(imported, "__all__", [])
    assert list(names) == sorted(set(names))
    assert all(hasattr(imported, name) for name in names)


def test_the_package_says_that_it_is_typed() -> None:
    """Without py.typed no checker looks at the types."""
    assert (ROOT / "py.typed").exists()


@pytest.mark.parametrize("name", [name for name in linq_typing.__all__ if name != "EventHook"])  # an alias of typing's
def test_every_public_name_has_a_docstring(name: str) -> None:
    """Its own, and so have the public methods and properties of a class."""
    thing = getattr(linq_typing, name)
    assert thing.__doc__, name
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"


@pytest.mark.parametrize("module", [*CORE, "__init__"])
def test_every_module_says_what_it_is_for(module: str) -> None:
    """In a docstring that starts on the first line."""
    assert ast.get_docstring(_tree(module))


# -- The tools around the core


class Tool(NamedTuple):
    """A package that users of the core do without."""

    knows: set[str]  # what else of the library it may import: "core", and other tools
    levels: dict[str, int]  # of its modules; they import only from lower levels


TOOLS = {
    "sandbox": Tool(
        knows=set(),
        levels={
            "_clock": 0,
            "_http": 0,
            "_records": 0,
            "_schedule": 0,
            "_settle": 0,
            "_webhook_http": 1,
            "_faults": 1,
            "_request_log": 1,
            "_screen": 1,
            "_timeline": 1,
            "_chat": 2,
            "_fault_player": 2,
            "_model": 3,
            "_server": 3,
            "_bodies": 4,
            "_fault_controls": 4,
            "_endpoints": 5,
            "_webhook_payloads": 5,
            "_app": 6,
            "_webhooks": 6,
            "_background": 7,
            "_feed": 7,
            "_simulation": 7,
            "_actions": 8,
            "_page": 9,
            "_sandbox": 10,
            "__init__": 11,
        },
    ),
    "instrumentation": Tool(
        knows={"core"},
        levels={"__init__": 0, "prometheus": 1, "opentelemetry": 1},
    ),
    "testing": Tool(
        knows={"core", "sandbox"},
        levels={"_ghosts": 0, "_sandbox": 1, "__init__": 2},
    ),
    "cli": Tool(
        knows={"core", "sandbox", "testing", "cli.demo"},
        levels={
            "_access": 0,
            "_options": 0,
            "_probe": 0,
            "_status": 0,
            "_answers": 1,
            "_child": 1,
            "_serve": 1,
            "_redis": 2,
            "_request": 2,
            "_checks": 3,
            "_commands": 4,
            "_main": 5,
            "__init__": 6,
        },
    ),
    "cli.demo": Tool(
        knows={"core", "sandbox", "testing"},
        levels={
            "__init__": 0,
            "_counts": 0,
            "_redis": 1,
            "_scenes": 2,
            "_player": 3,
            "_picture": 4,
            "_output": 5,
            "_runner": 6,
        },
    ),
}
TOOL_MODULES = [(tool, module) for tool in TOOLS for module in TOOLS[tool].levels]


def _source(tool: str, module: str) -> str:
    return ROOT.joinpath(*tool.split("."), f"{module}.py").read_text(encoding="utf-8")


def _imported(source: str) -> Iterator[tuple[str, str]]:
    """What a source imports of the library, wherever it does: the tool, or "core", and the module inside."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "tools import by full names"
            names = [_module(f"{node.module}.{alias.name}") for alias in node.names]
        for name in names:
            root, _, inner = name.partition(".")
            if root == "linq_typing":
                yield _home(inner)


def _module(name: str) -> str:
    """The module that a dotted name stands for, or is inside of."""
    path = ROOT.parent.joinpath(*name.split("."))
    return name if path.is_dir() or path.with_suffix(".py").exists() else name.rpartition(".")[0]


def _home(name: str) -> tuple[str, str]:
    inside = [tool for tool in TOOLS if f"{name}.".startswith(f"{tool}.")]
    tool = max(inside, key=len, default="core")
    return tool, (name if tool == "core" else name.removeprefix(tool).strip(".")) or "__init__"


@pytest.mark.parametrize("tool", TOOLS)
def test_every_module_of_a_tool_has_a_level(tool: str) -> None:
    """A new one has to be placed."""
    assert {path.stem for path in ROOT.joinpath(*tool.split(".")).glob("*.py")} == set(TOOLS[tool].levels)


@pytest.mark.parametrize(("tool", "module"), TOOL_MODULES)
def test_a_tool_imports_downward(tool: str, module: str) -> None:
    """Inside functions and for the type checker, too: so there is no circle."""
    knows, levels = TOOLS[tool]
    for other, name in _imported(_source(tool, module)):
        if other == tool:
            assert levels[name] < levels[module], f"{tool}.{module} imports {name}"
        else:
            assert other in knows, f"{tool}.{module} imports {other}.{name}"


def test_tools_know_each_other_without_a_circle() -> None:
    """And each that is known is in the table."""
    order = TopologicalSorter({tool: TOOLS[tool].knows for tool in TOOLS}).static_order()
    assert set(order) == {"core", *TOOLS}


@pytest.mark.parametrize(("tool", "module"), TOOL_MODULES)
def test_every_module_of_a_tool_says_what_it_is_for(tool: str, module: str) -> None:
    """In a docstring."""
    assert ast.get_docstring(ast.parse(_source(tool, module)))


def test_the_check_of_tools_sees_all_forms_of_import() -> None:
    """And tells a module from a name inside a module."""
    source = """
        import httpx, linq_typing
        from linq_typing.sandbox import Sandbox, _bodies as bodies
        from linq_typing.sandbox._model import Model
        from linq_typing import _manager, flush
        if TYPE_CHECKING:
            def f():
                import linq_typing.testing._ghosts
    """
    assert sorted(_imported(textwrap.dedent(source))) == [
        ("core", "__init__"),
        ("core", "__init__"),
        ("core", "_manager"),
        ("sandbox", "__init__"),
        ("sandbox", "_bodies"),
        ("sandbox", "_model"),
        ("testing", "_ghosts"),
    ]
