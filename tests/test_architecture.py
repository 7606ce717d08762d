"""Where each module may look: imports go down only, and what has no business somewhere is not imported there.

Imports are read from the source, at any depth: those inside functions and under `TYPE_CHECKING` count like all others.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import sys
from pathlib import Path

import pytest

import runstate

SOURCE = Path(__file__).resolve().parent.parent / "core" / "runstate"

LAYERS = """
    _states _version _clock _deadlines _ids _pauses _wake
    _errors _processes _turns _async
    _presence
    _troubles _json _checks _peek _doctor._holders _loops _calling
    _records _policies
    _fleet _outcomes
    _notices
    journal._outbox journal._notice_rules
    _codec _buffer _live _lifecycle journal journal._rules _verify._finding _doctor._diagnosis
    _lease_only journal._log _registry journal._sql_entries journal._sql_chain journal._memory_log journal._sqlite_pulse
    _reports _burial _verify._log _doctor._fleet _fleet_codec journal._rows journal._postgres_rules journal._postgres_connection
    journal._sql_outbox journal._postgres_outbox_schema journal._postgres_outbox_sql journal._memory_outbox
    journal._sql_fleet _doctor._notices
    journal._sql journal._postgres_sql journal._postgres_schema journal._postgres_fleet_schema
    journal._postgres_chain_schema
    journal._sqlite_file journal._postgres_bell journal._migrations journal._postgres_fleet_sql
    journal._sqlite_vigil journal._postgres_session
    journal._sqlite_fleet journal._postgres_vigil
    journal._postgres_fleet journal._sqlite_outbox
    journal._postgres_outbox
    journal.memory journal.sqlite journal.postgres _decider _verify._fleet
    _verify._notices
    journal._writer _verify._file _verify._server _doctor._file _doctor._server _verdicts _execution _events
    _durable _breaker _deliverer
    _delivery _verify _doctor _watch _scope _reading _liveness
    _attempts
    _chain
    _agents _member _census
    _remote _decorators
    _notifying
    _creating
    _tracker
    _open
    runstate
"""
"""The core, lowest first: a module may import from the lines above its own, and not from its own line."""

ADAPTERS = {"_codebase", "audit", "cli", "contrib", "legacy", "migrate", "mypy_plugin", "otel", "testing", "web"}
"""What stands on the public names, each a module or a package, and stays behind its own extra."""

STANDS_ON = {"audit": {"_codebase"}, "migrate": {"_codebase"}, "cli": {"_codebase", "audit", "migrate", "web"}}
"""The adapters that another adapter may import, from their packages and nothing underneath."""

JOURNALS = {"testing": {"journal", "journal.memory", "journal.postgres", "journal.sqlite"}}
"""The adapters that make journals themselves: `testing` has trackers on an injected clock, and journals that are listened to."""

ENTRY = "__main__"
"""`python -m runstate`: hands over to one adapter."""

OUTSIDE = {
    "beartype": {"_checks"},
    "pydantic_core": {"_codec", "_fleet_codec", "_json", "contrib._results", "legacy", "web"},
    "pydantic": {"cli", "legacy"},
    "sqlite3": {
        "journal.sqlite",
        "journal._sqlite_file",
        "journal._sqlite_fleet",
        "journal._sqlite_pulse",
        "journal._sqlite_outbox",
        "_verify._file",
        "_doctor._file",
    },
    "psycopg": {
        *("journal.postgres", "journal._postgres_bell", "journal._postgres_connection", "journal._migrations"),
        *(
            "journal._postgres_fleet",
            "journal._postgres_outbox",
            "journal._postgres_session",
            "journal._postgres_vigil",
            "_verify._server",
            "_doctor._server",
            "testing",
        ),
    },
    "tenacity": {"journal._postgres_connection"},
    "cyclopts": {"cli"},
    "rich": {"cli"},
    "libcst": {"migrate"},
    "starlette": {"web"},
    "uvicorn": {"web"},
    "pydantic_ai": {"contrib.pydantic_ai"},
    "langchain_core": {"contrib.langchain", "contrib._langgraph"},
    "langgraph": {"contrib.langchain", "contrib._langgraph"},
    "agents": {"contrib.openai_agents"},
    "trio": {"_async", "_calling", "testing"},
    "mypy": {"mypy_plugin"},
    "opentelemetry": {"otel"},
}
"""What is not ours, or is heavy, and the only modules or adapters that may import it."""

ASYNCHRONOUS = {
    *("_async", "_attempts", "_calling", "_chain", "_durable", "_events", "_scope", "_agents", "_reading", "_tracker"),
}
"""The only modules of the core that may contain `async def`: what they do may block."""

UNSUITED_TO_DECIDING = {"asyncio", "logging", "multiprocessing", "selectors", "sqlite3", "subprocess"}
"""What neither the decider nor anything that it stands on may import."""

LEVELS = {module: level for level, line in enumerate(LAYERS.strip().splitlines()) for module in line.split()}


def name_of(path: Path) -> str:
    """`journal/sqlite.py` is `journal.sqlite`, `journal/__init__.py` is `journal`, and the package itself is `runstate`."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "runstate"


def package_of(path: Path) -> tuple[str, ...]:
    """The package that a file's relative imports start from."""
    return ("runstate", *path.relative_to(SOURCE).parent.parts)


FILES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
CORE = {name: path for name, path in FILES.items() if name.partition(".")[0] not in {*ADAPTERS, ENTRY}}


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_names(tree: ast.Module, package: tuple[str, ...]) -> set[str]:
    """Everything that is imported, as absolute dotted names; `from a import b` gives `a.b`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            names |= {".".join((*base, alias.name)) for alias in node.names}
    return names


def our_module(name: str) -> str | None:
    """The module of ours that an imported name is, or is from; None for what is not ours."""
    if name.partition(".")[0] != "runstate":
        return None
    inside = name.partition(".")[2]
    while inside and inside not in FILES:
        inside = inside.rpartition(".")[0]
    return inside or "runstate"


def our_imports(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    names = imported_names(parsed(FILES[module]), package_of(FILES[module]))
    return {found for name in names if (found := our_module(name)) is not None and found != module}


def foreign_imports(module: str) -> set[str]:
    """The top-level modules that a module imports from elsewhere."""
    names = imported_names(parsed(FILES[module]), package_of(FILES[module]))
    return {name.partition(".")[0] for name in names if our_module(name) is None}


def all_below(module: str) -> set[str]:
    """A module and all modules of ours that it stands on."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += our_imports(one)
    return found


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import os.path", {"os.path"}),
        ("import runstate._json as j", {"runstate._json"}),
        ("from ._errors import A, B", {"runstate.journal._errors.A", "runstate.journal._errors.B"}),
        ("from .._errors import A", {"runstate._errors.A"}),
        ("from . import _sql", {"runstate.journal._sql"}),
        ("from .. import _states", {"runstate._states"}),
        ("def f():\n    from runstate import open", {"runstate.open"}),
        ("if TYPE_CHECKING:\n    from .._live import Live", {"runstate._live.Live"}),
        ("try:\n    import rich\nexcept ImportError:\n    pass", {"rich"}),
    ],
)
def test_no_import_is_overlooked(source: str, imported: set[str]) -> None:
    """Relative imports, and those inside functions, conditions and attempts, are found like all others."""
    assert imported_names(ast.parse(source), ("runstate", "journal")) == imported


def test_names_lead_to_modules() -> None:
    """An imported name leads to the innermost module of ours that holds it."""
    assert our_module("runstate.journal._sql.SCHEMA") == "journal._sql"
    assert our_module("runstate.journal.Journal") == "journal"
    assert our_module("runstate.open") == "runstate"
    assert our_module("sqlite3") is None
    assert {"_states", "_errors", "_records", "_live"} <= our_imports("_decider")


def test_no_module_is_imported_by_a_computed_name() -> None:
    """Nothing is imported in a way that cannot be read here, but by the package, whose lazy names are read all the same."""
    words = {module: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for module, path in FILES.items()}
    computing = {module for module, used in words.items() if used & {"import_module", "__import__", "exec", "eval"}}
    assert computing <= {"runstate"}
    homes: dict[str, tuple[str, ...]] = runstate._HOMES
    assert {f"runstate.{home}.{name}" for home, names in homes.items() for name in names} <= imported_names(
        parsed(FILES["runstate"]), ("runstate",)
    )


def test_every_module_of_the_core_has_a_layer() -> None:
    """A new module must be given its place before it can land, and no place is kept for one that is gone."""
    assert CORE.keys() == LEVELS.keys()
    assert sorted(LAYERS.split()) == sorted(LEVELS)


@pytest.mark.parametrize("module", sorted(CORE))
def test_imports_go_down(module: str) -> None:
    """A module imports only from layers below its own, whatever the import is for."""
    assert {name for name in our_imports(module) if LEVELS.get(name, sys.maxsize) >= LEVELS[module]} == set()


def test_there_is_no_import_cycle() -> None:
    """All modules can be put in an order in which each comes after those that it imports."""
    graph = {module: our_imports(module) for module in FILES}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert set(order) == FILES.keys()


def test_states_import_nothing_of_ours() -> None:
    """The table stands on nothing, so that everything can stand on it."""
    assert our_imports("_states") == set()


def test_deciding_needs_no_journal_and_no_loop() -> None:
    """The decider, and all that it stands on, imports no journal, no asyncio, no logging and no input or output."""
    below = all_below("_decider")
    assert {name for name in below if name.partition(".")[0] == "journal"} == set()
    foreign = {name: foreign_imports(name) & UNSUITED_TO_DECIDING for name in below}
    assert {name: found for name, found in foreign.items() if found} == {}


def test_what_is_not_ours_is_imported_in_its_place_only() -> None:
    """Each foreign library, and sqlite3, is imported by the few modules that are there for it."""
    strange = {
        (module, name)
        for module in FILES
        for name in foreign_imports(module)
        if (name not in sys.stdlib_module_names or name in OUTSIDE)
        and not {module, module.partition(".")[0]} & OUTSIDE.get(name, set())
    }
    assert strange == set()


def test_only_what_may_block_is_async() -> None:
    """The core's coroutine functions are in the modules that wait; everything else is synchronous."""
    asynchronous = {
        module
        for module, path in CORE.items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.AsyncFunctionDef)
    }
    assert asynchronous <= ASYNCHRONOUS
    assert {"_events", "_scope", "_agents"} <= asynchronous


# -- adapters ---------------------------------------------------------------------------------------------------------

ADAPTING = sorted(name for name in FILES if name.partition(".")[0] in ADAPTERS)
PUBLIC = set(runstate.__all__)


def test_every_adapter_is_there() -> None:
    """No adapter is listed that does not exist."""
    assert {name.partition(".")[0] for name in ADAPTING} == ADAPTERS


def test_the_entry_imports_one_adapter_and_nothing_else() -> None:
    """`python -m runstate` is the command line."""
    assert our_imports(ENTRY) == {"cli"}


@pytest.mark.parametrize("module", ADAPTING)
def test_adapters_import_public_names_only(module: str) -> None:
    """An adapter imports its own modules, public names of runstate, and those of the few adapters that it may stand on."""
    names = imported_names(parsed(FILES[module]), package_of(FILES[module]))
    adapter = module.partition(".")[0]
    foreign = {name for name in names if our_module(name) is not None and our_module(name) != "runstate"}
    others = {name for name in foreign if name.split(".")[1] != adapter}
    assert {our_module(name) for name in others} <= STANDS_ON.get(adapter, set()) | JOURNALS.get(adapter, set())
    from_runstate = {name.removeprefix("runstate.") for name in names - {"runstate"} if our_module(name) == "runstate"}
    assert from_runstate <= PUBLIC


@pytest.mark.parametrize("module", ADAPTING)
def test_adapters_use_public_attributes_only(module: str) -> None:
    """An adapter touches no underscore attribute but its own, and no name of runstate that is not public."""
    attributes = [node for node in ast.walk(parsed(FILES[module])) if isinstance(node, ast.Attribute)]
    owners = [(node.value.id if isinstance(node.value, ast.Name) else "", node.attr) for node in attributes]
    assert {name for owner, name in owners if owner == "runstate"} <= PUBLIC
    private = {(owner, name) for owner, name in owners if re.match(r"_(?!_)", name) and owner not in {"self", "cls"}}
    assert {(owner, name) for owner, name in private if name not in {"_asdict", "_replace"}} == set()  # of NamedTuples
