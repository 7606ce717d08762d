"""Prove your own agents: a clock that a test moves, and a laboratory that crashes them wherever they can be crashed.

`CrashLab` runs a *scenario*, an ordinary function that gets a tracker, in a process of its own, first undisturbed and then again and
again, each time with one `Fault` at one *point*: each await of each task, and each commit of the journal, before and after. After
each run another process opens the journal, and every promise of runstate is held against what it finds there.

With pytest, which loads the plugin `pytest_runstate` by itself, both are fixtures: `fake_clock` and `crash_lab`, and `tracker`
besides.
"""

from ._clock import FakeClock as FakeClock
from ._faults import Fault as Fault
from ._lab import CrashLab as CrashLab
from ._points import Point as Point
from ._report import BrokenGuaranteeError as BrokenGuaranteeError
from ._report import CrashReport as CrashReport
from ._report import CrashRun as CrashRun
from ._report import ScenarioError as ScenarioError

__all__ = [
    "BrokenGuaranteeError",
    "CrashLab",
    "CrashReport",
    "CrashRun",
    "FakeClock",
    "Fault",
    "Point",
    "ScenarioError",
]
