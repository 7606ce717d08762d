"""The pytest plugin of runstate. It costs a test run nothing: `runstate` itself is imported when a fixture is first used.

That is why it is a package beside `runstate` and not inside. It has three fixtures, each of which a conftest.py may override:

| fixture | what it is |
|---|---|
| `tracker` | an open `runstate.ExecutionTracker`, driven by `fake_clock`, on the journal that `tracker_url` names |
| `fake_clock` | its `runstate.testing.FakeClock`: `advance(seconds)` passes time, and ends what outlives its limits |
| `crash_lab` | a `runstate.testing.CrashLab` on SQLite files below `tmp_path` |

A test that passes and leaves an execution open fails, with what it has left open. Which trackers that is about says the setting
`runstate_open_executions`; the marker `leaves_executions_open` excuses a test, a class or a module. With `all`, what is open when the
test itself has ended and was not when it began is its own; what the set-up of this test has opened, its teardown may still end.
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
    from runstate.testing._open import Before, Noted

SETTING: Final = "runstate_open_executions"
MARKER: Final = "leaves_executions_open"
CHOICES: Final = ("fixture", "all", "off")
_checked: Final = pytest.StashKey[list["ExecutionTracker"]]()
"""The trackers of the fixture `tracker`, which a test must leave without open executions."""
_noted: Final[pytest.StashKey[Noted]] = pytest.StashKey()
"""All trackers, if it is about all."""
_has_passed: Final = pytest.StashKey[bool]()
"""Whether a test has passed that is not excused."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what can be chosen."""
    group = parser.getgroup("runstate")
    group.addoption("--crash-seed", type=int, default=0, metavar="N", help="seed of `crash_lab` (default: 0)")
    parser.addini(
        SETTING,
        "which trackers a test must leave without open executions: that of the fixture `tracker` (fixture, the default), "
        "all that are made, by tests, fixtures and modules (all), or none (off)",
        default="fixture",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse a setting that means nothing."""
    config.addinivalue_line("markers", f"{MARKER}(reason=None): this test may leave executions of runstate open")
    if config.getini(SETTING) not in CHOICES:
        raise pytest.UsageError(f"{SETTING} must be one of {', '.join(CHOICES)}, not {config.getini(SETTING)!r}")
    if config.getini(SETTING) == "all":
        from runstate.testing._open import Noted

        config.stash[_noted] = Noted()
        config.add_cleanup(config.stash[_noted].begin())


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
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Note for how long the trackers are there that a fixture makes; `setup_method` and its like are fixtures, too."""
    noted = request.config.stash.get(_noted, None)
    if noted is None:
        return (yield)
    outer, noted.scope = noted.scope, fixturedef.scope
    try:
        return (yield)
    finally:
        noted.scope = outer


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """What is made from here on, by no fixture, is made for this test."""
    noted = item.config.stash.get(_noted, None)
    if noted is None:
        return (yield)
    noted.scope = "function"
    try:
        return (yield)
    finally:
        noted.scope = "session"
        noted.of_test.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Run a test, and fail it for what it leaves open; one that has failed has said enough."""
    if item.get_closest_marker(MARKER) is not None:
        return (yield)
    noted = item.config.stash.get(_noted, None)
    before: dict[ExecutionTracker, Before] = {}
    if noted is not None:
        from runstate.testing._open import open_now

        own = item.stash.get(_checked, None) or ()
        before = {tracker: open_now(tracker) for tracker in noted.all() if tracker not in own}
    result = yield
    trackers = [*(item.stash.get(_checked, None) or ()), *(() if noted is None else noted.all())]
    if trackers:
        from runstate.testing._open import left_open

        if said := left_open(trackers, before):
            pytest.fail(said, pytrace=False)
    item.stash[_has_passed] = True
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Have the fixtures of a test end what they have opened, and say what they have not."""
    result = yield
    noted = item.config.stash.get(_noted, None)
    if noted is not None and item.stash.get(_has_passed, False):
        from runstate.testing._open import left_open

        if said := left_open(noted.of_test):
            pytest.fail(said, pytrace=False)
    return result
