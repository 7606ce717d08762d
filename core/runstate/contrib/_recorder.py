"""Begins executions: whose run it is, whether it is nested, which one it resumes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from runstate import ExecutionTracker, InvalidValueError, Phase

from ._options import Options, Tracking
from ._recording import Recording, innermost, inside
from ._results import RESUMES, paused

T = TypeVar("T")

LINKS: Final = 20
"""How many executions of a thread are looked through for the one that a run resumes."""


class Identity(NamedTuple):
    """Whose run it is."""

    agent: str
    thread_id: str
    user_id: str
    metadata: dict[str, object]


class Recorder(Tracking, Generic[T]):
    """Begins executions for the runs of one adapter object. Safe to use from any thread.

    Args:
        framework: Its name in metadata, counts and log lines.
        tracker: Where executions are recorded.
        thread_id: The conversation, or what tells it from what the framework gives; None takes the framework's own.
        user_id: The user, likewise.
        options: See `Options`.

    Raises:
        StateTypeError: *tracker* is no tracker, an id is neither a text nor a function, there is no such option, or one has the
            wrong type.
        InvalidValueError: An id or an option has an impossible value.
    """

    def __init__(
        self,
        framework: str,
        tracker: ExecutionTracker,
        thread_id: str | Callable[[T], str] | None,
        user_id: str | Callable[[T], str] | None,
        options: Options,
    ) -> None:
        super().__init__(framework, tracker, {"thread_id": thread_id, "user_id": user_id}, options)
        self.thread_id: str | Callable[[T], str] | None = thread_id
        self.user_id: str | Callable[[T], str] | None = user_id

    def nested(self, agent: str, run_id: str | None, *, is_told: bool = False) -> Recording | None:
        """Begin a run inside another execution; None where there is none, and the run is one of its own.

        Args:
            agent: What runs.
            run_id: The framework's id of the run.
            is_told: Whether the run around it records what this one does, as LangChain hands all events of it to both.

        Raises:
            FencedError: Somebody else has ended the execution; the run must not begin.
        """
        handle = inside()
        if handle is None:
            return None
        outer = innermost()
        if outer is not None and run_id is not None and outer.run_id == run_id:
            return Recording(self, None, None, run_id)  # a second adapter object on the same run has nothing to add
        self.ledger.count("nested")
        recording = Recording(self, handle, outer, run_id, is_own=False)
        recording.phase(Phase.THINKING, agent)
        return Recording(self, None, None, run_id) if is_told else recording.entered()

    def identify(
        self, source: T, *, agent: str, thread_id: str | None, user_id: str | None, run_id: str | None
    ) -> Identity | None:
        """Say whose run it is, of what the adapter was told and what the framework knows; None if that cannot be said."""
        settings = self.settings
        try:
            metadata: dict[str, object] = {"framework": self.framework}
            if run_id is not None:
                metadata["run_id"] = run_id
            if settings.resumes is not None:
                metadata[RESUMES] = settings.resumes
            return Identity(
                settings.agent or agent,
                _said("thread_id", self.thread_id, source, thread_id),
                _said("user_id", self.user_id, source, user_id),
                {**metadata, **(settings.metadata or {})},
            )
        except Exception as error:  # noqa: BLE001 - counted, logged, or raised by `trouble`
            self.trouble("identify", error)
        return None

    def link(self, identity: Identity | None) -> None:
        """Look for the execution that a resumed run goes on from, and note it. Reads the journal, so it may block."""
        if identity is None or RESUMES in identity.metadata:
            return
        try:
            for record in self.tracker.find(thread_id=identity.thread_id, agent=identity.agent, limit=LINKS):
                if paused(record) is not None:
                    identity.metadata[RESUMES] = record.execution_id
                    return
        except Exception as error:  # noqa: BLE001 - counted, logged, or raised by `trouble`
            self.trouble("link", error)

    def begin(self, identity: Identity | None, run_id: str | None = None) -> Recording:
        """Create the execution and have it RUNNING. Where that cannot be, the run is not recorded."""
        if identity is None:
            return Recording(self, None, None, run_id)
        settings = self.settings
        try:
            pending = self.tracker.create(
                agent=identity.agent,
                thread_id=identity.thread_id,
                user_id=identity.user_id,
                timeout=settings.timeout,
                heartbeat_timeout=settings.heartbeat_timeout,
                metadata=identity.metadata,
            )
            handle = pending.run()
        except Exception as error:  # noqa: BLE001 - counted, logged, or raised by `trouble`
            self.trouble("begin", error)
            return Recording(self, None, None, run_id)
        self.ledger.count("executions")
        return Recording(self, handle, innermost(), run_id).entered()


def _said(name: str, told: str | Callable[[T], str] | None, source: T, own: str | None) -> str:
    """The value of an id: what the adapter was told, or what the framework knows."""
    value = own if told is None else told if isinstance(told, str) else told(source)
    if value is None:
        raise InvalidValueError(name, None, "told to track(), since the framework has none for this run")
    return value
