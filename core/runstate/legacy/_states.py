"""One identity of states behind all legacy names.

A and B named a subset of runstate's states by the same names and values, so they re-export `runstate.ExecutionState` itself.
C named some differently; `StateNames` makes a class whose attributes are the members of `runstate.ExecutionState` under
the legacy names too, and which maps legacy values when it is called. It has no members of its own: `isinstance`, iteration
and identity are those of the one enum, and `.value` is the core's lower-case value.

A legacy *move* may skip states; `next_step` says which legal move comes next on the shortest way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

from .. import TRANSITIONS, ExecutionState, StateTypeError

LEGACY_NAMES: Final[Mapping[str, ExecutionState]] = MappingProxyType(
    {
        "INITIALIZING": ExecutionState.STARTING,
        "SUCCESS": ExecutionState.COMPLETED,
        "ABORTED": ExecutionState.CANCELLED,
        "RECOVERING": ExecutionState.STARTING,
    }
)
"""What C named otherwise, and the state that it is."""


def require_state(state: object, *, name: str = "state", rest: str = "as error= and result=") -> ExecutionState:
    """Accept a state of the one enum and nothing else.

    Args:
        state: What was given.
        name: The parameter that it was given as.
        rest: Where the rest belongs of a dict that was given.

    Raises:
        StateTypeError: It is a dict, a str, another module's enum or anything else.
    """
    if isinstance(state, ExecutionState):
        return state
    given = f"{type(state).__module__}.{type(state).__qualname__}: {state!r:.80}"
    if isinstance(state, Mapping):
        instead = f"give a member of ExecutionState, and the rest {rest}"
    elif (meant := _meant(state)) is not None:
        instead = f"pass runstate.ExecutionState.{meant.name}"
    else:
        instead = f"pass a member of runstate.ExecutionState: {', '.join(ExecutionState.__members__)}"
    raise StateTypeError(f"{name} must be an ExecutionState, not {given}; {instead}")


def _meant(state: object) -> ExecutionState | None:
    """The state that a text stands for, or a member of another enum by its name or value."""
    given: tuple[object, ...] = (state.name, state.value) if isinstance(state, Enum) else (state,)
    for text in given:
        if isinstance(text, str):
            key = text.strip().upper()
            if (found := ExecutionState.__members__.get(key, LEGACY_NAMES.get(key))) is not None:
                return found
    return None


def _ways(source: ExecutionState) -> dict[ExecutionState, ExecutionState]:
    """The first move of the shortest way from *source* to each state that can be reached."""
    first: dict[ExecutionState, ExecutionState] = {}
    frontier = [(target, target) for target in ExecutionState if target in TRANSITIONS[source]]
    while frontier:
        reached, step = frontier.pop(0)
        if reached not in first:
            first[reached] = step
            frontier += [(target, step) for target in ExecutionState if target in TRANSITIONS[reached]]
    return first


_NEXT: Final = {source: _ways(source) for source in ExecutionState}


def next_step(source: ExecutionState, target: ExecutionState) -> ExecutionState:
    """Return the next move on the way; *target* itself where there is no way, for the core to refuse."""
    return _NEXT[source].get(target, target)


class StateNames(type):
    """Metaclass of a class that stands for `runstate.ExecutionState` under legacy names.

    Use it as `class ExecutionState(metaclass=StateNames, aliases={"SUCCESS": runstate.ExecutionState.COMPLETED})`.
    """

    _names: Mapping[str, ExecutionState]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], body: dict[str, object], *, aliases: Mapping[str, ExecutionState]
    ) -> StateNames:
        """Make the class, with the members of the one enum and their aliases as attributes."""
        names = {state.name: state for state in ExecutionState} | dict(aliases)
        cls = super().__new__(mcs, name, bases, body | names)
        cls._names = MappingProxyType(names)
        return cls

    def __init__(
        cls, name: str, bases: tuple[type, ...], body: dict[str, object], *, aliases: Mapping[str, ExecutionState]
    ) -> None:
        del aliases  # read by __new__
        super().__init__(name, bases, body)

    def __call__(cls, value: object) -> ExecutionState:
        """Return the state of a value or legacy name, such as `"completed"` or `"SUCCESS"`; `ValueError` as an enum does."""
        if isinstance(value, ExecutionState):
            return value
        if isinstance(value, str) and (state := cls._names.get(value.upper())) is not None:
            return state
        raise ValueError(f"{value!r} is not a valid {cls.__name__}; valid are {', '.join(cls._names)}")

    def __getitem__(cls, name: str) -> ExecutionState:
        return cls._names[name]

    def __iter__(cls) -> Iterator[ExecutionState]:
        return iter(ExecutionState)

    def __len__(cls) -> int:
        return len(ExecutionState)

    def __contains__(cls, value: object) -> bool:
        return isinstance(value, ExecutionState)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, ExecutionState)

    @property
    def __members__(cls) -> Mapping[str, ExecutionState]:
        """The states by name, legacy names included."""
        return cls._names
