"""The pytest plugin of runstate. It costs a test run nothing: `runstate` itself is imported when a fixture is first used.

That is why it is a package beside `runstate` and not inside. It has three fixtures, each of which a conftest.py may override:

| fixture | what it is |
|---|---|
| `tracker` | an open `runstate.ExecutionTracker`, driven by `fake_clock`, on the journal that `tracker_url` names |
| `fake_clock` | its `runstate.testing.FakeClock`: `advance(seconds)` passes time, and ends what outlives its limits |
| `crash_lab` | a `runstate.testing.CrashLab` on SQLite files below `tmp_path` |

A test that passes and leaves an execution open fails, with what it has left open. Which trackers that is about says the setting
`runstate_open_executions`; the marker `leaves_executions_open` excuses a test, a class or a module.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from runstate import ExecutionTracker
    from runstate.testing import CrashLab, FakeClock

SETTING: Final = "runstate_open_executions"
MARKER: Final = "leaves_executions_open"
CHOICES: Final = ("fixture", "all", "off")
_checked: Final = pytest.StashKey[list["ExecutionTracker"]]()
"""The trackers that a test must leave without open executions."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be chosen."""
    group = parser.getgroup("runstate")
    group.addoption("--crash-seed", type=int, default=0, metavar="N", help="seed of `crash_lab` (default: 0)")
    parser.addini(
        SETTING,
        "which trackers a test must leave without open executions: that of the fixture `tracker` (fixture, the default), "
        "also all that are made while a test runs (all), or none (off)",
        default="fixture",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse a setting that means nothing."""
    config.addinivalue_line("markers", f"{MARKER}(reason=None): this test may leave executions of runstate open")
    if config.getini(SETTING) not in CHOICES:
        raise pytest.UsageError(f"{SETTING} must be one of {', '.join(CHOICES)}, not {config.getini(SETTING)!r}")


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    from runstate.testing import FakeClock

    return FakeClock()


@pytest.fixture
def tracker_url() -> str | os.PathLike[str]:
    """Where the journal of `tracker` is: memory. Override it to name an SQLite file or a database of PostgreSQL."""
    return "memory:"


@pytest.fixture
def tracker(
    request: pytest.FixtureRequest, tracker_url: str | os.PathLike[str], fake_clock: FakeClock
) -> Generator[ExecutionTracker]:
    """An open tracker. Its limits pass by `fake_clock.advance(seconds)`, and what the test leaves open fails it."""
    from runstate.testing._open import open_tracker

    with open_tracker(tracker_url, fake_clock) as tracker:
        if request.config.getini(SETTING) != "off":
            request.node.stash.setdefault(_checked, []).append(tracker)
        yield tracker


@pytest.fixture
def crash_lab(request: pytest.FixtureRequest, tmp_path: Path) -> CrashLab:
    """A laboratory that runs a scenario into faults, each time in a process of its own, on SQLite files."""
    from runstate.testing import CrashLab

    return CrashLab(directory=tmp_path, seed=request.config.option.crash_seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a test, and fail it for what it leaves open; one that has failed has said enough."""
    excused = item.get_closest_marker(MARKER) is not None
    if excused or item.config.getini(SETTING) != "all":
        result = yield
    else:
        from runstate.testing._open import noting_trackers

        with noting_trackers(item.stash.setdefault(_checked, [])):
            result = yield
    if not excused and (trackers := item.stash.get(_checked, None)):
        from runstate.testing._open import left_open

        if said := left_open(trackers):
            pytest.fail(said, pytrace=False)
    return result
