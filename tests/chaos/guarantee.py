"""What must be true of a journal after a storm, checked against what workers were promised and what was done to them.

Nothing here asks a tracker: entries are read from the journal page by page and folded by hand.

1. Every execution has ended, once, and nothing comes after its end.
2. What a worker was promised is there: executions, phases, ends with their results.
3. Whoever was told of an end, by waiting for it or by `FencedError`, was told the one that stands.
4. No result of a fenced worker became an outcome; where it is kept, it is kept as tried.
5. Nobody was held for dead to whom nothing was done that is deadly; and nobody's executions were buried but a dead worker's.
6. A cancel that was requested in time before a burial is what the burial records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from runstate import Cause, Created, ExecutionState, PhaseChange, Transition
from runstate._fleet import Worker, WorkerState
from runstate._records import Selection
from runstate.journal import Fleet

from . import sidelog
from .faults import Harm
from .schedule import AT_ONCE, BORN, END, FATAL
from .sidelog import Said
from .silences import expired, silences

PAGE: Final = 5_000
OUTCOMES: Final = {
    "Completed": ExecutionState.COMPLETED,
    "Failed": ExecutionState.FAILED,
    "TimedOut": ExecutionState.TIMEOUT,
    "Died": ExecutionState.DEAD,
    "Cancelled": ExecutionState.CANCELLED,
}
IN_TIME: Final = 2_000_000_000
"""Nanoseconds by which a request must come before a fence to be seen by the burial for certain: workers' clocks are one, but
asking and writing take their time."""


@dataclass(slots=True)
class Story:
    """What the journal says of one execution."""

    owner: str
    created_at_ns: int
    state: ExecutionState = ExecutionState.PENDING
    phases: list[str | None] = field(default_factory=list[str | None])
    ends: list[Transition] = field(default_factory=list[Transition])
    after_the_end: int = 0
    wrong: list[str] = field(default_factory=list[str])


def stories(journal: Fleet) -> dict[str, Story]:
    """Read everything, and fold it."""
    found: dict[str, Story] = {}
    after = 0
    while True:
        page = journal.read(after, PAGE, Selection())
        for event in page.events:
            tell(found, event.entry)
        after = page.up_to
        if len(page.events) < PAGE:
            return found


def tell(found: dict[str, Story], entry: Any) -> None:
    """Fold one entry into the story of its execution."""
    if isinstance(entry, Created):
        if entry.execution_id in found:
            found[entry.execution_id].wrong.append("it was created twice")
        else:
            found[entry.execution_id] = Story(entry.incarnation, entry.at_ns)
        return
    story = found.get(entry.execution_id)
    if story is None:
        story = found[entry.execution_id] = Story("?", 0, wrong=[f"it begins with {entry}"])
    if story.ends:
        story.after_the_end += 1
    if isinstance(entry, Transition):
        if entry.source is not story.state:
            story.wrong.append(f"it moves from {entry.source.name}, and was {story.state.name}")
        story.state = entry.target
        if entry.target.is_terminal:
            story.ends.append(entry)
    elif isinstance(entry, PhaseChange):
        story.phases.append(entry.detail)


class Check:
    """Holds a journal against promises.

    Args:
        found: Its executions.
        workers: All its workers, the departed as well.
        harms: By pid, what was done to each process.
    """

    def __init__(
        self, found: Mapping[str, Story], workers: Iterable[Worker], harms: Mapping[int, Sequence[Harm]]
    ) -> None:
        self.stories = found
        self.workers = {worker.incarnation: worker for worker in workers}
        self.harms = harms
        self._by_right: set[str] = set()
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        """How much of each was checked: a check of nothing proves nothing."""
        self.heard: list[float] = []
        """Seconds from each request to cancel to the end that was heard of."""

    def all(self, said: Iterable[Said]) -> list[str]:
        """Check everything; return all that is wrong, and was before."""
        said = list(said)
        self._by_right = expired(self.workers.values(), silences(said))
        for execution_id, story in self.stories.items():
            self._story(execution_id, story)
        for worker in self.workers.values():
            self._worker(worker)
        for line in said:
            self._promise(line)
        return self.findings

    def _wrong(self, what: str) -> None:
        self.findings.append(what)

    def _story(self, execution_id: str, story: Story) -> None:
        self.counts["executions"] += 1
        self.findings += [f"{execution_id}: {what}" for what in story.wrong]
        if len(story.ends) != 1:
            self._wrong(f"{execution_id} has {len(story.ends)} ends and is {story.state.name}")
            return
        if story.after_the_end:
            self._wrong(f"{execution_id} goes on after its end, for {story.after_the_end} entries")
        end = story.ends[0]
        self.counts[f"ended {end.target.name} {end.cause.name if end.cause else ''}"] += 1
        owner = self.workers.get(story.owner)
        is_fenced = owner is not None and owner.fence is not None
        if end.incarnation != story.owner:
            self.counts["buried"] += 1
            if not is_fenced:
                self._wrong(f"{execution_id} was buried by {end.incarnation}, and its owner {story.owner} was not dead")
        elif end.cause in {Cause.PROCESS_EXITED, Cause.LEASE_EXPIRED}:
            self._wrong(f"{execution_id} says itself that its worker is gone: {end}")
        elif end.target is ExecutionState.DEAD:
            self._wrong(f"{execution_id} is DEAD by its own worker: {end.cause}, {end.evidence}")

    def _worker(self, worker: Worker) -> None:
        self.counts[f"worker {worker.state.name}"] += 1
        if worker.live:
            self._wrong(f"{worker.incarnation} is {worker.state.name} and has {worker.live} live executions")
        if worker.state is WorkerState.ALIVE:
            self._wrong(f"{worker.incarnation} (pid {worker.pid}) is still ALIVE")
        if worker.fence is None:
            return
        self.counts[f"fenced {worker.fence.cause.name}"] += 1
        if worker.incarnation in self._by_right:
            self.counts["leases that ran out by right"] += 1  # the machine had let its process not run
            return
        done = self._harms(worker, worker.fence.at_ns)
        if (
            {harm.kind for harm in done} & {END}
            and worker.fence.cause is Cause.PROCESS_EXITED
            and not self._buried(worker)
        ):
            self.counts["ended without saying so"] += (
                1  # the store was away when it left; it is gone, and has lost nothing
            )
        elif not any(harm.kind in FATAL for harm in done):
            what = ", ".join(harm.kind for harm in done) or "nothing"
            self._wrong(
                f"false death: {worker.incarnation} (pid {worker.pid}) was fenced for {worker.fence.cause.name} "
                f"({worker.fence.reason}), and had suffered {what}"
            )
        elif {harm.kind for harm in done} <= AT_ONCE and worker.fence.cause is not Cause.PROCESS_EXITED:
            self._wrong(
                f"missed: {worker.incarnation} (pid {worker.pid}) was killed, and found dead only by {worker.fence.cause.name}"
            )

    def _harms(self, worker: Worker, until_ns: int) -> list[Harm]:
        """What was done to a worker's process until then; its pid may have been another process's before, and may be again."""
        harms = self.harms.get(worker.pid or 0, ())
        began_ns = [
            harm.began_ns for harm in harms if harm.kind == BORN and harm.began_ns <= (worker.started_at_ns or 0)
        ]
        return [harm for harm in harms if max(began_ns, default=-1) < harm.began_ns <= until_ns]

    def _buried(self, worker: Worker) -> bool:
        """Whether others have ended anything of a worker's."""
        mine = (story for story in self.stories.values() if story.owner == worker.incarnation)
        return any(end.incarnation != story.owner for story in mine for end in story.ends)

    def _promise(self, said: Said) -> None:
        self.counts[f"said {said.kind}"] += 1
        if said.kind == sidelog.BROKEN:
            self._wrong(f"a worker was told what it must not be told: {said.execution_id} {said.details[0]}")
        elif said.kind == sidelog.HEARD:
            self.heard.append(said.details[0])
        elif said.kind not in {sidelog.UNSURE, sidelog.SILENT}:
            story = self.stories.get(said.execution_id)
            if story is None and said.kind == sidelog.FENCED:
                self.counts["fenced before it was stored"] += (
                    1  # whoever wanted to begin it was told so, and promised nothing
                )
            elif story is None:
                self._wrong(f"{said.execution_id} was promised ({said}) and does not exist")
            elif story.ends:
                self._kept(said, story, story.ends[-1])
            if said.kind == sidelog.PHASES and story is not None:
                self._phases(said, story)

    def _phases(self, said: Said, story: Story) -> None:
        promised = [str(number) for number in range(said.details[0])]
        if story.phases[: len(promised)] != promised:
            self._wrong(f"{said.execution_id} was promised phases {promised} and has {story.phases}")

    def _kept(self, said: Said, story: Story, end: Transition) -> None:
        if said.kind == sidelog.ENDED:
            state, result = said.details
            if (end.target.value, end.result) != (state, result) or end.incarnation != story.owner:
                self._wrong(f"{said.execution_id} was promised to be {state} with {result!r}, and is {end}")
        elif said.kind == sidelog.SEEN:
            if OUTCOMES[said.details[0]] is not end.target:
                self._wrong(f"{said.execution_id} was seen as {said.details[0]}, and is {end}")
        elif said.kind == sidelog.FENCED:
            state, cause, _, _ = said.details
            known = None if end.cause is None else end.cause.name
            if (end.target.value, known) != (state, cause):
                self._wrong(f"{said.execution_id} was fenced as {state} {cause}, and is {end.target.name} {known}")
        elif said.kind == sidelog.ASKED and end.target is ExecutionState.DEAD:
            fence = self.workers[story.owner].fence
            if fence is None or said.details[0] < fence.at_ns - IN_TIME:
                self._wrong(f"{said.execution_id} was asked to be cancelled in time, and is {end}")

    def rejected(self, journal: Fleet, said: Iterable[Said]) -> None:
        """Look at what fenced workers still tried."""
        for line in said:
            if line.kind != sidelog.FENCED or line.execution_id not in self.stories:
                continue
            if (kept := journal.rejected(line.execution_id)) is not None:
                self.counts["rejected ends kept"] += 1
                _, _, wanted, is_known = line.details
                if is_known and kept.move.target is ExecutionState.COMPLETED and kept.move.result != wanted:
                    self._wrong(f"{line.execution_id} tried {wanted!r}, and {kept.move.result!r} was kept")
                if kept.move.incarnation != self.stories[line.execution_id].owner:
                    self._wrong(f"{line.execution_id}: {kept.move.incarnation} is not its owner, and its try was kept")
