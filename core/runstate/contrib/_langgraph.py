"""One root run of LangChain or LangGraph, and what its children tell of how it ends. LangGraph need not be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
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

__all__ = ["GraphCallbackHandler", "GraphInterrupt", "Run", "answer"]


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


def answer(output: Any) -> object:
    """What of an output is the answer: the last message's text, where there are messages; else all of it."""
    if isinstance(output, dict):
        messages = cast("dict[str, object]", output).get("messages")
        if isinstance(messages, list) and messages:
            return answer(cast("list[object]", messages)[-1])
    elif isinstance(output, LLMResult) and output.generations and output.generations[-1]:
        return output.generations[-1][-1].text
    return cast("object", output.content if isinstance(output, BaseMessage) else output)
