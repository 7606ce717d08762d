"""What a run came to: figures for people, and what must not be.

- *Completion* is the share of messages that were answered with a result, a fallback's included.
- *Reliability* is the share of messages whose user read exactly one final event in time, an answer or a typed reason, of the right
  conversation, message and execution: what the journal says of the last attempt is what the user was told.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final as Constant
from typing import NamedTuple

from runstate import Cause, Created, ExecutionState, Transition

from .plan import Agent, Message, Plan

COMPLETION: Constant = 0.95
RELIABILITY: Constant = 0.999
DEATH_TO_NOTICE: Constant = 0.5
"""Seconds from a worker's death to its users' notices, which 99 of 100 may not exceed."""


class Final(NamedTuple):
    """A final event that a user has read."""

    thread_id: str
    message_id: str
    execution_id: str
    event: str
    state: str
    cause: str
    attempt: int
    is_final: bool
    at: float
    """When, by the machine's monotonic clock."""
    since: float
    """Since when the stream was connected."""
    delay: float
    """Seconds from the end, as the journal has it, by the wall clock."""


class Account:
    """What the journal says."""

    def __init__(self) -> None:
        self.chains: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        """The executions of each message in the order of their attempts."""
        self.ends: dict[str, Transition] = {}
        self.began: set[str] = set()
        """Executions that have run."""
        self.killed: dict[str, float] = {}
        """When the worker of an execution was killed, if it was."""
        self.executions = 0

    def begin(self, entry: Created, killed: float | None) -> None:
        """Take a beginning."""
        self.executions += 1
        self.chains[entry.thread_id, entry.message_id or ""].append(entry.execution_id)
        if killed is not None:
            self.killed[entry.execution_id] = killed

    def end(self, entry: Transition) -> None:
        """Take an end."""
        self.ends[entry.execution_id] = entry

    @property
    def retries(self) -> int:
        """Attempts after the first that were none of a fallback."""
        later = [one for chain in self.chains.values() for one in chain[1:]]
        return sum(
            one in self.began and self.ends[one].cause is not Cause.FALLBACK for one in later if one in self.ends
        )

    def by_end(self) -> Counter[str]:
        """Executions by state and cause."""
        return Counter(_named(end.target.value, end.cause) for end in self.ends.values())


@dataclass
class Report:
    """All of it."""

    plan: Plan
    seconds: float
    finals: list[Final]
    silent: list[str]
    wrong: list[str]
    counts: Counter[str]
    account: Account
    undelivered: list[str]
    findings: list[str]
    memory: list[float]
    told: dict[tuple[str, str], list[Final]] = field(init=False)

    def __post_init__(self) -> None:
        self.told = {key: [] for key in self.plan.messages}
        for final in self.finals:
            self.told[final.thread_id, final.message_id].append(final)

    @property
    def completion(self) -> float:
        """The share of messages with a result."""
        return sum(any(one.state == "completed" for one in finals) for finals in self.told.values()) / len(self.told)

    @property
    def reliability(self) -> float:
        """The share of messages with exactly one final event, the right one, in time."""
        late = len(self.silent)
        right = sum(self._is_right(key, finals) for key, finals in self.told.items())
        return min(right, len(self.told) - late) / len(self.told)

    @property
    def duplicates(self) -> int:
        """Final events beyond the first."""
        return sum(max(0, len(finals) - 1) for finals in self.told.values())

    @property
    def present(self) -> list[Final]:
        """What users read who were connected when the execution ended."""
        return [one for one in self.finals if one.since < one.at - one.delay]

    @property
    def unplanned(self) -> Counter[str]:
        """Ends that are not those of the plan."""
        ends = {key: finals[0] for key, finals in self.told.items() if finals}
        found: Counter[str] = Counter()
        for conversation in self.plan.conversations:
            for message in conversation.messages:
                final = ends.get((conversation.thread_id, message.message_id))
                if final is not None and (final.state, final.cause) != _planned(message):
                    found[_named(final.state, final.cause)] += 1
        return found

    @property
    def deaths(self) -> list[float]:
        """Seconds from a worker's death to each user's notice of it, of those who were connected when it died."""
        return sorted(one.at - killed for one, killed in self._deaths() if one.since < killed)

    @property
    def burials(self) -> list[float]:
        """The part of `deaths` until the end had its time in the journal."""
        return sorted(one.at - killed - one.delay for one, killed in self._deaths() if one.since < killed)

    @property
    def absent(self) -> int:
        """Users who were told of a death but came back only after it."""
        return sum(one.since >= killed for one, killed in self._deaths())

    def _each_death(self) -> list[str]:
        """A line for each death: how many were told of it, and when."""
        found: defaultdict[float, list[Final]] = defaultdict(list)
        for one, killed in self._deaths():
            if one.since < killed:
                found[killed].append(one)
        return [
            f"  one death: {len(told):3} users, buried after {min(one.at - one.delay for one in told) * 1e3 - killed * 1e3:.0f} ms, told after "
            f"{min(one.at for one in told) * 1e3 - killed * 1e3:.0f} to {max(one.at for one in told) * 1e3 - killed * 1e3:.0f} ms"
            for killed, told in sorted(found.items())
        ]

    def _deaths(self) -> list[tuple[Final, float]]:
        killed = self.account.killed
        dead = [one for one in self.finals if one.cause == Cause.PROCESS_EXITED.value and one.execution_id in killed]
        return [(one, killed[one.execution_id]) for one in dead]

    def _is_right(self, key: tuple[str, str], finals: list[Final]) -> bool:
        chain = self.account.chains.get(key)
        if len(finals) != 1 or not chain or chain[-1] not in self.account.ends:
            return False
        (final,), end = finals, self.account.ends[chain[-1]]
        told = final.execution_id, final.state, final.cause, final.is_final
        return end.cause is not None and told == (chain[-1], end.target.value, end.cause.value, True)

    def judge(self, *, is_full: bool) -> list[str]:
        """Say what must not be.

        Args:
            is_full: Whether shares and times are judged as well, which mean little when there are few messages.
        """
        wrong = list(self.wrong)
        wrong += [f"verify: {finding}" for finding in self.findings]
        wrong += [f"left in the outbox: {one}" for one in self.undelivered]
        wrong += [f"silent: {one}" for one in self.silent]
        wrong += [f"{key} was not told rightly: {f}" for key, f in self.told.items() if not self._is_right(key, f)]
        live = self.account.executions - len(self.account.ends)
        bounds = [
            (is_full and self.completion < COMPLETION, f"completion is {self.completion:.2%}"),
            (self.reliability < RELIABILITY, f"reliability is {self.reliability:.2%}"),
            (self.duplicates > 0, f"{self.duplicates} final events came twice"),
            (live > 0, f"{live} executions have not ended"),
            (
                is_full and quantile(self.deaths, 0.99) > DEATH_TO_NOTICE,
                f"from a worker's death to the notice p99 is {quantile(self.deaths, 0.99) * 1e3:.0f} ms",
            ),
        ]
        return wrong + [what for is_wrong, what in bounds if is_wrong]

    def lines(self) -> list[str]:
        """Tell it to people."""
        number = len(self.told)
        ends = Counter(_named(one.state, one.cause) for one in self.finals)
        fallbacks = ends[_named(ExecutionState.COMPLETED.value, Cause.FALLBACK)]
        results = sum(one.state == ExecutionState.COMPLETED.value for one in self.finals)
        delays = sorted(one.delay for one in self.present)
        lines = [
            f"{number:,} messages in {len(self.plan.conversations):,} conversations, in {self.seconds:.0f} s",
            *(f"  {count:6,}  {fault.value}" for fault, count in self.plan.faults().items()),
            f"completion    {self.completion:8.2%}  {results:,} results, of which {fallbacks:,} are the fallback's",
            f"reliability   {self.reliability:8.2%}  exactly one final event, the right one, in time",
            f"silent        {len(self.silent):8,}",
            f"duplicates    {self.duplicates:8,}",
            f"undelivered   {len(self.undelivered):8,}  notices left in the outbox",
            f"findings      {len(self.findings):8,}  of runstate.verify",
            f"executions    {self.account.executions:8,}  of which {self.account.retries:,} are retries",
            "ends of messages, as users were told:",
            *(f"  {count:6,}  {end}" for end, count in ends.most_common()),
            "ends of executions, as the journal has them:",
            *(f"  {count:6,}  {end}" for end, count in self.account.by_end().most_common()),
            "ends that were not planned, all others were:",
            *(f"  {count:6,}  {end}" for end, count in self.unplanned.most_common()),
            f"from the end in the journal to the user     {_times(delays)} ({number - len(delays):,} were not connected)",
            f"from a worker's death to the user           {_times(self.deaths)} ({len(self.deaths)} notices of "
            f"{len(set(self.account.killed.values()))} deaths; {self.absent} users were not connected)",
            f"  of which from the death to the burial     {_times(self.burials)}",
            *self._each_death(),
            f"load of the machine, at the end: {os.getloadavg()[1]:.1f} for {os.cpu_count()} processors, everybody's together",
            f"memory of the chat server {min(self.memory):.0f} to {max(self.memory):.0f} MB",
        ]
        return lines + [f"  {number:6,}  {what}" for what, number in sorted(self.counts.items())]


def _planned(message: Message) -> tuple[str, str]:
    """The end that a message has if nothing but what is planned for it happens."""
    fault = None if message.agent is None else Agent[message.agent]
    if fault is Agent.HOPELESS:
        return ExecutionState.FAILED.value, Cause.FALLBACK.value
    if fault in {Agent.RAISES_ON, Agent.REFUSES, Agent.SILENT} or message.answer is None:
        return ExecutionState.COMPLETED.value, Cause.FALLBACK.value
    return ExecutionState.COMPLETED.value, Cause.RETURNED.value


def quantile(values: list[float], share: float) -> float:
    """A quantile of sorted values; 0.0 of none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def _times(values: list[float]) -> str:
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return ", ".join(f"{name} {quantile(values, share) * 1e3:.0f} ms" for name, share in shares.items())


def _named(state: str, cause: Cause | str | None) -> str:
    return f"{state}, {cause.value if isinstance(cause, Cause) else cause}"
