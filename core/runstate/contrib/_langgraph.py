"""One root run of LangChain or LangGraph, and what tells how it ends, where its own ending does not. LangGraph need not be there."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from ._recording import Recording

if TYPE_CHECKING:
    from langgraph.callbacks import GraphCallbackHandler
    from langgraph.errors import GraphInterrupt, NodeTimeoutError
    from langgraph.types import Interrupt
else:
    try:
        from langgraph.errors import GraphInterrupt
    except ImportError:  # LangChain alone

        class GraphInterrupt(Exception):  # noqa: N818 - LangGraph's name
            """Stands for what cannot be raised."""

    try:
        from langgraph.errors import NodeTimeoutError
    except ImportError:  # before 1.2

        class NodeTimeoutError(Exception):
            """Stands for what cannot be raised."""

    try:
        from langgraph.callbacks import GraphCallbackHandler
    except ImportError:  # before 1.1.6
        GraphCallbackHandler = BaseCallbackHandler

__all__ = ["GraphCallbackHandler", "GraphInterrupt", "Run", "answer", "is_broken_off"]

BETWEEN: Final = (__name__.rpartition(".")[0], "langchain_core.callbacks")
"""The packages that stand between what ends a run and who is told."""
STREAM: Final = "_transform_stream_with_config"
"""The function, a generator, in which LangChain runs a blocking stream; its local variable `iterator` makes the chunks."""


class Run:
    """One root run and what is known of it.

    Args:
        recording: Its execution.
    """

    __slots__ = ("ids", "is_graph", "is_over", "overtime", "recording", "waiting_for")

    def __init__(self, recording: Recording) -> None:
        self.recording: Recording = recording
        self.ids: set[UUID] = set()
        self.is_graph: bool = False
        self.is_over: bool = False
        self.overtime: list[BaseException] = []
        """`TimeoutError`s that children have raised themselves."""
        self.waiting_for: dict[str, object] = {}
        """The interrupts by their ids."""

    def note(self, interrupts: Sequence[Interrupt]) -> None:
        """Note what the graph asks.

        Args:
            interrupts: The questions.
        """
        for interrupt in interrupts:
            self.waiting_for[interrupt.id] = {"id": interrupt.id, "value": interrupt.value}

    def is_graphs_timeout(self, error: BaseException) -> bool:
        """Whether a limit of the graph has stopped it: `step_timeout`, which no child has raised, or a node's `timeout`.

        Args:
            error: What leaves the root.
        """
        if isinstance(error, NodeTimeoutError):
            return True
        return self.is_graph and isinstance(error, TimeoutError) and all(one is not error for one in self.overtime)


def is_broken_off() -> bool:
    """Whether the run that reports success here is a blocking stream that was left before its end.

    LangChain catches the `GeneratorExit` of such a stream, reports what had come as its output, and hands on nothing that tells the
    two apart; children do not either, as one may have been left by its parent. But what makes the chunks of a stream that was read
    to its end has ended itself, and that of one that was left has not. So this looks at who reports. A stream whose chunks come from
    something else than a generator cannot be judged, and is taken for one that was read.
    """
    frame = inspect.currentframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith(BETWEEN):
        frame = frame.f_back
    if frame is None or frame.f_code.co_name != STREAM:
        return False
    chunks: object = frame.f_locals.get("iterator")
    if not isinstance(chunks, GeneratorType):
        return False
    return inspect.getgeneratorstate(cast("GeneratorType[object, None, object]", chunks)) == inspect.GEN_SUSPENDED


def answer(output: Any) -> object:
    """What of an output is the answer: the last message's text, where there are messages; else all of it."""
    if isinstance(output, dict):
        messages = cast("dict[str, object]", output).get("messages")
        if isinstance(messages, list) and messages:
            return answer(cast("list[object]", messages)[-1])
    elif isinstance(output, LLMResult) and output.generations and output.generations[-1]:
        return output.generations[-1][-1].text
    return cast("object", output.content if isinstance(output, BaseMessage) else output)
