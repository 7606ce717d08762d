"""Facade C: every name and signature of the old `execution_tracking`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType

import pytest

from runstate import ExecutionState
from runstate.legacy import execution_tracking as legacy
from runstate.legacy.execution_tracking import heartbeat, registry, timeout, tracker

from .surface import STUBS, stub_differences

pytestmark = pytest.mark.filterwarnings("ignore:.*is a legacy name:DeprecationWarning")

SIGNATURES: Mapping[type, Mapping[str, str]] = {
    legacy.ExecutionTracker: {
        "start_execution": "run_id, agent_name, context",
        "update_execution_progress": "execution_id, progress",
        "complete_execution": "execution_id, result",
        "handle_execution_failure": "execution_id, error",
        "get_execution_status": "execution_id",
        "get_all_active_executions": "",
        "get_tracker_metrics": "",
        "get_health_status": "",
        "shutdown": "",
    },
    legacy.ExecutionRegistry: {
        "register_execution": "run_id, agent_name, context=None",
        "update_execution_state": "execution_id, new_state, metadata=None",
        "get_execution": "execution_id",
        "get_active_executions": "",
        "get_executions_by_agent": "agent_name",
        "get_executions_by_run_id": "run_id",
        "update_heartbeat": "execution_id",
        "set_execution_timeout": "execution_id, timeout_seconds",
        "get_timed_out_executions": "",
        "get_stale_executions": "stale_threshold_seconds=300",
        "cleanup_expired_executions": "retention_hours=24",
        "get_execution_metrics": "",
        "get_health_status": "",
        "shutdown": "",
    },
    legacy.HeartbeatMonitor: {
        "start_monitoring": "execution_id, metadata=None",
        "send_heartbeat": "execution_id, metadata=None",
        "stop_monitoring": "execution_id",
        "is_alive": "execution_id",
        "get_heartbeat_status": "execution_id",
        "get_all_monitored_executions": "",
        "get_dead_executions": "",
        "add_failure_callback": "callback",
        "get_monitor_metrics": "",
        "get_health_status": "",
        "force_check_execution": "execution_id",
        "revive_execution": "execution_id",
        "shutdown": "",
    },
    legacy.TimeoutManager: {
        "get_timeout_for_agent": "agent_name",
        "set_agent_timeout": "agent_name, timeout_seconds",
        "set_timeout": "execution_id, timeout_seconds=None, agent_name=None",
        "extend_timeout": "execution_id, additional_seconds, reason='extension_requested'",
        "clear_timeout": "execution_id",
        "check_timeouts": "",
        "get_remaining_time": "execution_id",
        "get_timeout_info": "execution_id",
        "get_all_timeouts": "",
        "get_expired_timeouts": "",
        "add_timeout_callback": "callback",
        "get_timeout_metrics": "",
        "get_health_status": "",
        "bulk_clear_timeouts": "execution_ids",
        "get_timeout_summary": "",
        "shutdown": "",
    },
}
NOT_AWAITED = {"add_failure_callback", "add_timeout_callback", "get_timeout_for_agent", "set_agent_timeout"}
CONSTRUCTORS: Mapping[type, str] = {
    legacy.ExecutionTracker: "websocket_bridge=None, heartbeat_interval=5.0, timeout_check_interval=5.0",
    legacy.ExecutionRegistry: "cleanup_interval_seconds=60",
    legacy.HeartbeatMonitor: (
        "heartbeat_interval_seconds=5.0, timeout_seconds=30.0, max_missed_heartbeats=6, recovery_delay_seconds=2.0"
    ),
    legacy.TimeoutManager: "check_interval_seconds=5.0",
}
METHODS = [(cls, name) for cls, methods in SIGNATURES.items() for name in methods]


def untyped(function: Callable[..., object]) -> str:
    """The parameters after the first, without annotations and without what is ours: the keyword-only ones."""
    given = list(inspect.signature(function).parameters.values())[1:]
    return ", ".join(str(one.replace(annotation=one.empty)) for one in given if one.kind is not one.KEYWORD_ONLY)


@pytest.mark.parametrize(("cls", "name"), METHODS)
def test_signatures(cls: type, name: str) -> None:
    """Each method takes what it took, and is awaited where it was."""
    method = getattr(cls, name)
    assert untyped(method) == SIGNATURES[cls][name]
    assert inspect.iscoroutinefunction(method) == (name not in NOT_AWAITED)


@pytest.mark.parametrize("cls", CONSTRUCTORS)
def test_constructors(cls: type) -> None:
    """Each class is made of what it was made of."""
    assert untyped(cls.__init__) == CONSTRUCTORS[cls]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("__init__", legacy),
        ("tracker", tracker),
        ("registry", registry),
        ("heartbeat", heartbeat),
        ("timeout", timeout),
    ],
)
def test_the_stubs_agree(name: str, module: ModuleType) -> None:
    """Every name that the legacy stubs of the package declare is there, with the same parameters."""
    assert stub_differences(f"agents/execution_tracking/{name}.pyi", module) == []


@pytest.mark.parametrize("name", ["tracker", "registry", "heartbeat", "timeout"])
def test_a_module_is_one_import(name: str) -> None:
    """`from … import *` of the facade's module gives every class that the stub of the old one defines."""
    given: dict[str, object] = {}
    exec(f"from runstate.legacy.execution_tracking.{name} import *", given)
    stub = ast.parse((STUBS / f"agents/execution_tracking/{name}.pyi").read_text(encoding="utf-8"))
    assert {node.name for node in stub.body if isinstance(node, ast.ClassDef)} == given.keys() - {"__builtins__"}


def test_every_call_names_its_replacement() -> None:
    """No public method of the facade is left without its warning."""
    methods = [getattr(cls, name) for cls in SIGNATURES for name in dir(cls) if not name.startswith("_")]
    functions = [method for method in methods if inspect.isfunction(method)]
    assert len(functions) == len(METHODS)
    assert [function.__qualname__ for function in functions if not hasattr(function, "__wrapped__")] == []


def test_the_names_of_states() -> None:
    """The old names are names of the one enum's members, by attribute, by value and by subscript."""
    names: object = legacy.ExecutionState
    expected = {"SUCCESS": "COMPLETED", "INITIALIZING": "STARTING", "ABORTED": "CANCELLED", "RECOVERING": "STARTING"}
    for name in ("PENDING", "RUNNING", "FAILED", "TIMEOUT", *expected):
        state = ExecutionState[expected.get(name, name)]
        assert getattr(names, name) is state
        assert legacy.ExecutionState(name) is state
        assert legacy.ExecutionState[name] is state
    assert isinstance(ExecutionState.COMPLETED, legacy.ExecutionState)
