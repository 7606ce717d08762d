"""A websocket bridge that writes down what it is told."""

from __future__ import annotations

from typing import Any


class Bridge:
    """Has the six old notifications and `notify_tool_completed`; keeps every call in order.

    Args:
        broken: Names of events that it fails to send.
    """

    def __init__(self, *broken: str) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.broken = broken

    @property
    def names(self) -> list[str]:
        """The events in the order in which they came."""
        return [name for name, _ in self.calls]

    async def _take(self, name: str, **told: Any) -> None:
        if name in self.broken:
            raise ConnectionError("the socket is closed")
        self.calls.append((name, told))

    async def notify_agent_started(self, run_id: str, agent_name: str, context: dict[str, Any] | None = None) -> None:
        await self._take("agent_started", run_id=run_id, agent_name=agent_name, context=context)

    async def notify_agent_thinking(self, run_id: str, agent_name: str, reasoning: str, step_number: int) -> None:
        await self._take(
            "agent_thinking", run_id=run_id, agent_name=agent_name, reasoning=reasoning, step_number=step_number
        )

    async def notify_tool_executing(
        self, run_id: str, agent_name: str, tool_name: str, parameters: dict[str, Any]
    ) -> None:
        await self._take(
            "tool_executing", run_id=run_id, agent_name=agent_name, tool_name=tool_name, parameters=parameters
        )

    async def notify_tool_completed(
        self, run_id: str, agent_name: str, tool_name: str, result: object, execution_time_ms: float
    ) -> None:
        await self._take(
            "tool_completed", run_id=run_id, agent_name=agent_name, tool_name=tool_name, result=result,
            execution_time_ms=execution_time_ms,
        )  # fmt: skip

    async def notify_agent_completed(
        self, run_id: str, agent_name: str, result: dict[str, Any], execution_time_ms: int
    ) -> None:
        await self._take(
            "agent_completed", run_id=run_id, agent_name=agent_name, result=result, execution_time_ms=execution_time_ms
        )

    async def notify_agent_error(
        self, run_id: str, agent_name: str, error: str, error_context: dict[str, Any] | None = None
    ) -> None:
        await self._take("agent_error", run_id=run_id, agent_name=agent_name, error=error, error_context=error_context)

    async def notify_agent_death(
        self, run_id: str, agent_name: str, death_cause: str, death_context: dict[str, Any]
    ) -> None:
        await self._take(
            "agent_death", run_id=run_id, agent_name=agent_name, death_cause=death_cause, death_context=death_context
        )
