"""`[runstate-transition]`: a move that the transition table does not allow.

On a handle mypy finds the mistake by itself, from the annotation of `self`, and says so in terms of types ("Invalid self
argument"). That message is taken back and replaced by one that names the move and the legal ones. Should it not be found
where it is looked for, both stand: a mistake is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from mypy.checker import TypeChecker
from mypy.errors import ErrorInfo, Errors
from mypy.nodes import CallExpr
from mypy.plugin import MethodContext

from runstate import TRANSITIONS, ExecutionState

from . import _codes
from ._handles import States, accepted_by, checker_of, handle, known_states, target_of

_BUILT_IN = "Invalid self argument "
_NOT_COVERED = 'Error code "misc" not covered by '
"""The note that follows the message above on a line that ignores another code, such as ours."""


def check_move(ctx: MethodContext, name: str) -> None:
    """Report a call of a handle's method that the states which it may know do not allow."""
    found, states = handle(ctx.type), known_states(ctx.type)
    if found is None or states is None or not isinstance(ctx.context, CallExpr):
        return
    target = target_of(found.type, name)
    if target is not None:
        illegal = illegal_sources(states, target)
    else:
        illegal = states - accepted_by(found.type, name)
    if illegal:
        checker = checker_of(ctx.api)
        _retract(checker, ctx.context, name)
        message = move_message(states, illegal, target) if target is not None else _beat_message(name, states, illegal)
        checker.fail(message, ctx.context, code=_codes.TRANSITION)


def illegal_sources(sources: States, target: ExecutionState) -> States:
    """Those of the sources from which the table does not lead to the target."""
    return frozenset(source for source in sources if target not in TRANSITIONS[source])


def move_message(states: States, illegal: States, target: ExecutionState) -> str:
    """Say which move is illegal, and which would be legal."""
    legal = {source for source, targets in TRANSITIONS.items() if target in targets}
    rule = f"only {_listed(legal)} may become {target.name}"
    if states == frozenset(ExecutionState):
        return f'The state of this handle is not known: narrow it with "expect" first; {rule}'
    live = [source for source in _in_order(illegal) if TRANSITIONS[source]]
    facts = [f"{source.name} may become {_listed(TRANSITIONS[source])}" for source in live]
    if live and len(illegal) > 2:
        facts = [rule]
    elif ends := {source for source in illegal if not TRANSITIONS[source]}:
        facts.append(f"{_listed(ends, 'and')} {'is an end' if len(ends) == 1 else 'are ends'}")
    return f"Illegal move {_listed(illegal)} -> {target.name}: {'; '.join(facts)}"


def _beat_message(name: str, states: States, illegal: States) -> str:
    if states == frozenset(ExecutionState):
        return f'The state of this handle is not known: narrow it with "expect" before "{name}"'
    return f'Illegal "{name}" in {_listed(illegal)}: the execution has ended'


def _listed(states: Iterable[ExecutionState], word: str = "or") -> str:
    names = [state.name for state in _in_order(states)]
    return f" {word} ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _in_order(states: Iterable[ExecutionState]) -> list[ExecutionState]:
    wanted = set(states)
    return [state for state in ExecutionState if state in wanted]


def _retract(checker: TypeChecker, call: CallExpr, name: str) -> None:
    """Take back what mypy has just said of the method's `self`, and the note that belongs to it."""
    errors = checker.msg.errors
    for said in (errors.error_info_map.get(errors.file, []), *_held_back(errors)):
        said[:] = [
            info
            for info in said
            if (info.line, info.column) != (call.callee.line, call.callee.column)
            or not (
                (info.message.startswith(_BUILT_IN) and f'"{name}"' in info.message)
                or info.message.startswith(_NOT_COVERED)
            )
        ]


def _held_back(errors: Errors) -> Iterator[list[ErrorInfo]]:
    """Yield what mypy has found in expressions that it is still trying, and will say when it keeps the trial."""
    for watcher in errors.get_watchers():
        with suppress(AssertionError):  # from a watcher that keeps nothing
            yield watcher.filtered_errors()
