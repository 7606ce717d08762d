"""The pytest plugin, in real runs of pytest on test modules of users."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

LEAVING = """
    import pytest
    import runstate
    from runstate import Phase

    def leave(tracker):
        running = tracker.create(agent="airline", thread_id="t-7", user_id="u-1").run()
        running.phase(Phase.TOOL_EXECUTION, "get_user_details")

    def test_fixture(tracker):
        leave(tracker)

    def test_closed():
        with runstate.open("memory:") as tracker:
            leave(tracker)

    def test_ended(tracker):
        with tracker.execution(agent="airline", thread_id="t-7", user_id="u-1") as run:
            run.complete("done")

    @pytest.mark.leaves_executions_open("that is the point of it")
    def test_excused(tracker):
        leave(tracker)
"""


OPTIONS = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:anyio", "-p", "no:asyncio")


@pytest.fixture(autouse=True)
def no_options_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's run is not a worker of ours."""
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run pytest as a user does: warnings are errors, and no plugin is there for asynchronous tests."""
    return pytester.runpytest_inprocess(*OPTIONS, *options)


def test_it_costs_nothing(pytester: pytest.Pytester) -> None:
    """In a run that uses no fixture of it, runstate is not even imported."""
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert 'pytest_runstate' in sys.modules\n    assert 'runstate' not in sys.modules"
    )
    pytester.runpytest_subprocess(*OPTIONS).assert_outcomes(passed=1)


def test_it_imports_nothing_but_pytest() -> None:
    """The plugin can be loaded where no extra is installed: it imports pytest, and that has been loaded."""
    code = "import sys, pytest; had = set(sys.modules); import pytest_runstate; print(*(set(sys.modules) - had))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pytest_runstate"]


def test_the_fixtures(pytester: pytest.Pytester) -> None:
    """`tracker` is a fresh tracker that `fake_clock` drives, on the journal that an overridden `tracker_url` names."""
    pytester.makepyfile(
        """
        import pytest
        from runstate import ExecutionState

        @pytest.fixture
        def tracker_url(tmp_path):
            return tmp_path / "runs.db"

        @pytest.mark.parametrize("turn", range(2))
        def test_it(tracker, fake_clock, turn, tmp_path):
            assert tracker.find() == ()
            run = tracker.create(agent="airline", thread_id="t-1", user_id="u-1", timeout=25.0).run()
            fake_clock.advance(25.0)
            assert run.state is ExecutionState.TIMEOUT
            tracker.flush()
            assert (tmp_path / "runs.db").exists()
        """
    )
    run(pytester).assert_outcomes(passed=2)


def test_fixtures_can_be_overridden(pytester: pytest.Pytester) -> None:
    """A conftest's own `tracker` takes the place of the plugin's, and what is left open on it is the user's affair."""
    pytester.makeconftest(
        """
        import pytest, runstate

        @pytest.fixture
        def tracker():
            with runstate.open("memory:") as tracker:
                yield tracker
        """
    )
    pytester.makepyfile(
        "def test_it(tracker):\n    assert tracker.create(agent='a', thread_id='t', user_id='u').run().execution_id"
    )
    run(pytester).assert_outcomes(passed=1)


def test_what_is_left_open_fails_the_test(pytester: pytest.Pytester) -> None:
    """A test that passes and leaves an execution of `tracker` open fails, and hears which, in what state, and what to do."""
    pytester.makepyfile(LEAVING)
    result = run(pytester)
    result.assert_outcomes(failed=1, passed=3)
    result.stdout.re_match_lines(
        [
            r"the test has left executions open:",
            r"  \w+: RUNNING, agent 'airline', thread 't-7', last phase TOOL_EXECUTION \(get_user_details\)",
            r".*with tracker\.execution.*leaves_executions_open",
        ]
    )
    result.stdout.fnmatch_lines(["FAILED *::test_fixture*"])


@pytest.mark.parametrize(("setting", "failed"), [("all", 2), ("off", 0)])
def test_the_setting_says_whose(pytester: pytest.Pytester, setting: str, failed: int) -> None:
    """With `all` it is found on every tracker, also on one that was closed meanwhile; with `off` on none; the marker excuses either way."""
    pytester.makepyfile(LEAVING)
    result = run(pytester, "-o", f"runstate_open_executions={setting}")
    result.assert_outcomes(failed=failed, passed=4 - failed)
    if failed:
        result.stdout.fnmatch_lines(["*1 were open when <ExecutionTracker * was closed*"])


SET_UP = """
    import pytest
    import runstate

    def begin(tracker):
        return tracker.create(agent="airline", thread_id="t-7", user_id="u-1").run()

    LASTING = runstate.open("memory:")

    @pytest.fixture
    def plain():
        with runstate.open("memory:") as tracker:
            yield tracker

    @pytest.fixture(scope="module")
    def shared():
        with runstate.open("memory:") as tracker:
            run = begin(tracker)
            yield tracker
            run.complete()

    @pytest.fixture
    def running(plain):
        run = begin(plain)
        yield run
        run.complete()

    @pytest.fixture
    def forgotten(plain):
        return begin(plain)

    def test_fails_fixture(plain):
        begin(plain)

    def test_fails_shared(shared):
        begin(shared)

    def test_passes_shared(shared):
        begin(shared).complete()

    def test_passes_teardown_ends_it(running):
        assert running.state.name == "RUNNING"

    def test_errs_teardown_forgets_it(forgotten):
        assert forgotten.state.name == "RUNNING"

    def test_fails_module():
        begin(LASTING)

    def test_passes_module():
        begin(LASTING).complete()

    class TestSetUp:
        def setup_method(self):
            self.tracker = runstate.open("memory:")

        def teardown_method(self):
            self.tracker.close()

        def test_fails_method(self):
            begin(self.tracker)

        def test_passes_method(self):
            begin(self.tracker).complete()

    def teardown_module():
        LASTING.close()
"""


def test_trackers_of_fixtures_and_modules(pytester: pytest.Pytester) -> None:
    """With `all`, a test fails for what it leaves open on any tracker, and not for what others have; teardown may end what set-up began."""
    pytester.makepyfile(SET_UP)
    result = run(pytester, "-rA", "-o", "runstate_open_executions=all")
    result.assert_outcomes(failed=4, passed=5, errors=1)
    said = result.stdout.str()
    for line in re.findall(r"^(\w+) \S+::test_(\w+?)_", said, re.MULTILINE):
        assert line in {("FAILED", "fails"), ("PASSED", "passes"), ("PASSED", "errs"), ("ERROR", "errs")}
    result = run(pytester)
    result.assert_outcomes(passed=9)


def test_a_failed_test_has_said_enough(pytester: pytest.Pytester) -> None:
    """A test that fails by itself is reported for that alone."""
    pytester.makepyfile(
        "def test_it(tracker):\n    tracker.create(agent='a', thread_id='t', user_id='u')\n    assert 'this' == 'that'"
    )
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'this' == 'that'*"])
    result.stdout.no_fnmatch_line("*left executions open*")


def test_a_setting_that_means_nothing_is_refused(pytester: pytest.Pytester) -> None:
    """A misspelt setting does not silently switch the check off."""
    pytester.makepyfile("def test_it():\n    pass")
    result = run(pytester, "-o", "runstate_open_executions=every")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*runstate_open_executions must be one of fixture, all, off, not 'every'*"])


CRASHING = """
    import asyncio
    from runstate.testing import Fault

    def test_it(crash_lab):
        report = crash_lab.run(scenario, faults=[Fault.KILL], runs=3)
        assert report.seed == 11
        assert len(report.runs) == 4

    async def scenario(tracker):
        async with tracker.execution(agent="airline", thread_id="t-1", user_id="u-1") as run:
            await asyncio.sleep(0)
            run.complete(tools.ANSWER)
"""


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_the_laboratory_finds_users_modules(pytester: pytest.Pytester, mode: str) -> None:
    """A scenario in a test module is found in its own process, however pytest has imported that module."""
    pytester.mkpydir("suite")
    pytester.path.joinpath("suite/tools.py").write_text("ANSWER = 'done'\n")
    (module,) = [pytester.makepyfile(test_crashing="from . import tools\n" + pytest_text(CRASHING))]
    module.rename(pytester.path / "suite" / module.name)
    run(pytester, "--import-mode", mode, "--crash-seed", "11").assert_outcomes(passed=1)


def test_a_module_that_stands_alone(pytester: pytest.Pytester) -> None:
    """So is one that no import would find: `importlib` mode without packages."""
    text = pytest_text(CRASHING).replace("tools.ANSWER", "'done'")
    module = pytester.makepyfile(test_crashing=text)
    pytester.mkdir("alone")
    module.rename(pytester.path / "alone" / module.name)
    run(pytester, "--import-mode", "importlib", "--crash-seed", "11").assert_outcomes(passed=1)


def test_with_xdist(pytester: pytest.Pytester) -> None:
    """In workers of pytest-xdist fixtures, check and laboratory work as in one process."""
    pytester.makepyfile(test_leaving=LEAVING, test_crashing=pytest_text(CRASHING).replace("tools.ANSWER", "'done'"))
    pytester.runpytest_subprocess(*OPTIONS, "-n", "2", "--crash-seed", "11").assert_outcomes(failed=1, passed=4)


def pytest_text(text: str) -> str:
    """Unindent a module."""
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())
