"""What the migration makes of code, and what it leaves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runstate.migrate import Migration, migrate

from ..audit.projects import write
from .rewrites import REWRITES, REWRITES_OF_C
from .unproven import UNPROVEN


def after(migration: Migration, name: str = "module.py") -> str | None:
    """What becomes of a file; None if nothing."""
    return next((one.after.decode() for one in migration.changes if one.path.endswith(f"/{name}")), None)


@pytest.mark.parametrize("name", REWRITES)
def test_what_is_certain_is_rewritten(tmp_path: Path, name: str) -> None:
    """The program becomes exactly the other one, comments and blanks kept; and that one is left as it is."""
    before, expected = REWRITES[name]
    write(tmp_path, {"module.py": before})
    first = migrate([tmp_path])
    assert (after(first) or "", first.unproven) == (expected, ())
    write(tmp_path, {"module.py": expected or before})
    assert migrate([tmp_path]).changes == ()


@pytest.mark.parametrize("name", UNPROVEN)
def test_what_is_not_certain_is_listed(tmp_path: Path, name: str) -> None:
    """Exactly the lines that say so are listed with their reason, and stay as they are."""
    source = UNPROVEN[name]
    write(tmp_path, {"module.py": source})
    migration = migrate([tmp_path])
    expected = {
        number: mark[1]
        for number, line in enumerate(source.splitlines(), 1)
        if (mark := re.search(r"# -> (.+)$", line))
    }
    assert sorted({one.line for one in migration.unproven}) == sorted(expected)
    assert all(expected[one.line] in one.reason for one in migration.unproven)
    lines = (after(migration) or source).splitlines()
    assert all(source.splitlines()[number - 1] in lines for number in expected)


def test_a_module_moves_everywhere_or_nowhere(tmp_path: Path) -> None:
    """An import that cannot move holds its module back in every file, and what depends on it; other modules move."""
    b = "from netra_backend.app.core.agent_execution_tracker import"
    a = "from netra_backend.app.core.execution_tracker import get_execution_tracker\n"
    good = f"{b} get_execution_tracker\nget_execution_tracker().update_execution_state('x', 'failed')\n"
    write(tmp_path, {"good.py": good, "bad.py": f"{b} something_private\n", "other.py": a})
    migration = migrate([tmp_path])
    assert [Path(one.path).name for one in migration.changes] == ["other.py"]
    listed = [(Path(one.path).name, one.line, one.reason) for one in migration.unproven]
    assert [(name, line) for name, line, _ in listed] == [("bad.py", 1), ("good.py", 1), ("good.py", 2)]
    assert "runstate.legacy.agent_execution_tracker gives no something_private" in listed[0][2]
    assert f"not free to move: see {tmp_path}/bad.py:1" in listed[1][2]
    assert "as long as its module cannot be moved" in listed[2][2]


def test_modules_that_exchange_states_move_together(tmp_path: Path) -> None:
    """Where A cannot move, B does not either if it is given states of A: its facade would refuse them."""
    b = "from netra_backend.app.core.agent_execution_tracker import get_execution_tracker\n"
    a = "from netra_backend.app.core.execution_tracker import ExecutionState\n"
    given = f"{b}{a}get_execution_tracker().update_execution_state('x', ExecutionState.COMPLETED)\n"
    write(tmp_path, {"bad.py": "import netra_backend.app.core.execution_tracker\n", "good.py": given, "other.py": b})
    migration = migrate([tmp_path])
    assert migration.changes == ()
    reasons = {(Path(one.path).name, one.line): one.reason for one in migration.unproven}
    assert reasons["good.py", 1] == reasons["other.py", 1]
    assert reasons["other.py", 1].endswith(f"see {tmp_path}/good.py:3")


def test_states_of_a_module_that_stays_are_listed_where_a_facade_takes_them(tmp_path: Path) -> None:
    """B has moved already, and A cannot: what is given to B's facade is on the list."""
    given = (
        "import netra_backend.app.core.execution_tracker\n"
        "from netra_backend.app.core.execution_tracker import ExecutionState\n"
        "from runstate.legacy.agent_execution_tracker import get_execution_tracker\n"
        "get_execution_tracker().update_execution_state('x', ExecutionState.COMPLETED)\n"
    )
    write(tmp_path, {"module.py": given})
    (last,) = [one for one in migrate([tmp_path]).unproven if one.line == 4]
    assert "a state of a module that cannot be moved" in last.reason


def test_one_run_is_enough(tmp_path: Path) -> None:
    """Where the source of a legacy module says next to nothing, the first run rewrites all that the second could."""
    source = "class AgentExecutionTracker:\n    def get_execution(self, execution_id):\n        return None\n"
    user = (
        "from netra_backend.app.core.agent_execution_tracker import AgentExecutionTracker\n"
        "def f(tracker: AgentExecutionTracker) -> bool:\n"
        "    return tracker.get_execution('x').state == 'completed' or tracker.complete_execution('x', 5)\n"
    )
    write(tmp_path, {"netra_backend/app/core/agent_execution_tracker.py": source, "netra_backend/app/module.py": user})
    (first,) = migrate([tmp_path]).changes
    assert b"state is ExecutionState.COMPLETED or tracker.update_execution_state(" in first.after
    Path(first.path).write_bytes(first.after)
    assert migrate([tmp_path]).changes == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("import netra_backend.app.core.agent_execution_tracker", "a name of its own"),
        ("import os, netra_backend.app.core.agent_execution_tracker as b", "a name of its own"),
        ("import os; from netra_backend.app.core.agent_execution_tracker import ExecutionState", "a line of its own"),
        ("if True: from netra_backend.app.core.agent_execution_tracker import ExecutionState", "a line of its own"),
        ("from netra_backend.app.core import agent_execution_tracker as b\nb._tracker", "gives no _tracker"),
    ],
)
def test_imports_that_cannot_move(tmp_path: Path, line: str, reason: str) -> None:
    """An import that cannot be rewritten with certainty is left, and the list says what to do."""
    write(tmp_path, {"module.py": f"{line}\n"})
    migration = migrate([tmp_path])
    assert migration.changes == ()
    (one,) = migration.unproven
    assert reason in one.reason


def test_the_legacy_modules_themselves(tmp_path: Path) -> None:
    """The source of a legacy module is not rewritten: the list says which import its body becomes."""
    source = "from enum import Enum\nclass ExecutionState(Enum):\n    PENDING = 1\n    RUNNING = 2\n    FAILED = 3\n"
    write(tmp_path, {"netra_backend/app/core/execution_tracker.py": source})
    migration = migrate([tmp_path])
    assert migration.changes == ()
    assert [one.reason for one in migration.unproven] == [
        "its body becomes: from runstate.legacy.execution_tracker import *"
    ]


def test_states_travel_between_modules(tmp_path: Path) -> None:
    """A tracker that another module made is known for what it is, and so are relative imports."""
    write(
        tmp_path,
        {
            "netra_backend/app/core/agent_execution_tracker.py": "from runstate.legacy.agent_execution_tracker import *\n",
            "netra_backend/app/shared.py": "from .core.agent_execution_tracker import get_execution_tracker\n"
            "tracker = get_execution_tracker()\n",
            "netra_backend/app/module.py": "from .shared import tracker\ntracker.update_execution_state('x', 'failed')\n",
        },
    )
    migration = migrate([tmp_path])
    assert migration.unproven == ()
    assert after(migration) == (
        "from .shared import tracker\nfrom runstate import ExecutionState\n\n"
        "tracker.update_execution_state('x', ExecutionState.FAILED)\n"
    )
    assert "from runstate.legacy.agent_execution_tracker import get_execution_tracker" in str(
        after(migration, "shared.py")
    )


# -- the tracker whose states have names of their own -----------------------------------------------------------------


@pytest.mark.parametrize("name", REWRITES_OF_C)
def test_names_of_their_own_become_ours(tmp_path: Path, name: str) -> None:
    """SUCCESS, ABORTED, INITIALIZING and RECOVERING become the members that they mean, from whichever of its modules."""
    before, expected = REWRITES_OF_C[name]
    write(tmp_path, {"module.py": before})
    first = migrate([tmp_path])
    assert (after(first), first.unproven) == (expected, ())
    write(tmp_path, {"module.py": expected})
    assert migrate([tmp_path]).changes == ()


def test_its_modules_become_those_of_the_facade(tmp_path: Path) -> None:
    """The body of each module becomes the facade's module of that name, and what imports from it then moves there too."""
    source = "from enum import Enum\nclass ExecutionState(str, Enum):\n    PENDING = '1'\n    RUNNING = '2'\n    SUCCESS = '3'\n"
    folder = "netra_backend/app/agents/execution_tracking"
    write(tmp_path, {f"{folder}/registry.py": source})
    (one,) = migrate([tmp_path]).unproven
    assert one.reason == "its body becomes: from runstate.legacy.execution_tracking.registry import *"
    (tmp_path / folder / "registry.py").write_text(f"{one.reason.removeprefix('its body becomes: ')}\n")
    user = "from netra_backend.app.agents.execution_tracking.registry import ExecutionRegistry\n"
    write(tmp_path, {"netra_backend/app/module.py": user})
    migration = migrate([tmp_path])
    assert migration.unproven == ()
    assert after(migration) == "from runstate.legacy.execution_tracking.registry import ExecutionRegistry\n"


def test_what_two_of_its_modules_define_is_held(tmp_path: Path) -> None:
    """ExecutionProgress, taken from the package, is one of two classes: the import stays, and the list says why."""
    write(tmp_path, {"module.py": "from netra_backend.app.agents.execution_tracking import ExecutionProgress\n"})
    migration = migrate([tmp_path])
    assert migration.changes == ()
    assert "defined twice" in migration.unproven[0].reason


def test_what_is_no_state_and_no_tracker_moves_too(tmp_path: Path) -> None:
    """A file that imports nothing but a record of a legacy module gets it from the facade, as all others do."""
    write(tmp_path, {"module.py": "from netra_backend.app.agents.execution_tracking.timeout import TimeoutInfo\n"})
    assert after(migrate([tmp_path])) == "from runstate.legacy.execution_tracking.timeout import TimeoutInfo\n"


def test_uses_that_need_the_legacy_names_keep_the_facades_states(tmp_path: Path) -> None:
    """Where a state is made of a text, or all are listed, the facade's class stays, and the list says where and why."""
    source = (
        "from netra_backend.app.agents.execution_tracking.registry import ExecutionState\n"
        "def f(name: str, state: ExecutionState, other: object) -> list[ExecutionState]:\n"
        "    print(ExecutionState(name), state.value, isinstance(other, ExecutionState))\n"
        "    return list(ExecutionState)\n"
    )
    write(tmp_path, {"module.py": source})
    migration = migrate([tmp_path])
    assert str(after(migration)).startswith("from runstate.legacy.execution_tracking.registry import ExecutionState\n")
    reasons = [(one.line, one.reason) for one in migration.unproven]
    assert [line for line, _ in reasons] == [3, 3, 3, 4]
    assert "needs the legacy names" in reasons[0][1]
    assert "a text no longer" in reasons[1][1]
    assert "SUCCESS becomes completed" in reasons[2][1]


def test_a_file_that_only_names_a_module_is_listed(tmp_path: Path) -> None:
    """A test that patches a legacy module by its name imports nothing of it, and is on the list all the same."""
    write(tmp_path, {"conftest.py": "TARGET = 'netra_backend.app.core.execution_tracker.get_execution_tracker'\n"})
    migration = migrate([tmp_path])
    assert migration.changes == ()
    assert [(one.line, one.column) for one in migration.unproven] == [(1, 10)]
    assert "misses runstate.legacy.execution_tracker" in migration.unproven[0].reason
