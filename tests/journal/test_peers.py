"""Whom a worker watches: what every shared journal says of its peers, and what asking costs it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest

from runstate import Cause, ExecutionState
from runstate._fleet import Peer
from runstate.journal import _postgres_fleet_sql, _postgres_sql, _sql_fleet
from runstate.journal._rules import SUSPECTS

from .. import cluster
from .entries import OTHER_WORKER, THIRD_WORKER, WORKER, life, lives, moved
from .fleets import LEASE, Pair, SharedStore, burial, found
from .servers import execute

RUNNING, COMPLETED = ExecutionState.RUNNING, ExecutionState.COMPLETED
EXITED = Cause.PROCESS_EXITED


def test_peers_are_known_by_their_leases(shared: SharedStore, pair: Pair) -> None:
    """Whoever is there is a peer, in order of arrival, with its lease and its newest renewal, whatever it has live."""
    pair.one.append(lives(["x", "y"], RUNNING))
    shared.let_pass(4.0)
    pair.other.renew(OTHER_WORKER)
    first, second = pair.one.peers()
    assert first == Peer(WORKER, LEASE, found(pair.one, WORKER).renewed_at_ns, pytest.approx(4.0), False, None)
    assert (second.incarnation, second.renewed_age) == (OTHER_WORKER, pytest.approx(0.0))
    shared.let_pass(LEASE - 1.0)
    assert [peer.expired for peer in pair.one.peers()] == [True, False]


def test_who_never_joined_is_no_peer(pair: Pair) -> None:
    """A worker that only writes has no lease that could run out, so nobody watches it, unless somebody fences it."""
    pair.one.append(life("x", RUNNING, incarnation=THIRD_WORKER))
    assert [peer.incarnation for peer in pair.one.peers()] == [WORKER, OTHER_WORKER]
    pair.one.fence(THIRD_WORKER, WORKER, EXITED)
    (third,) = (peer for peer in pair.one.peers() if peer.incarnation == THIRD_WORKER)
    assert third == Peer(THIRD_WORKER, None, None, None, False, found(pair.one, THIRD_WORKER).fence)


def test_the_fenced_are_peers_until_they_are_buried(pair: Pair) -> None:
    """A fenced worker is told of with its fence as long as something of it is live, one that has left never."""
    pair.one.append([*lives(["x", "y"], RUNNING), *life("done", COMPLETED)])
    pair.one.join(THIRD_WORKER, LEASE)
    pair.one.leave(THIRD_WORKER)
    pair.other.fence(WORKER, OTHER_WORKER, EXITED, "killed")
    for left in (2, 1):
        assert found(pair.one, WORKER).live == left
        fenced, other = pair.one.peers()
        assert (fenced.incarnation, fenced.fence) == (WORKER, found(pair.one, WORKER).fence)
        assert (other.incarnation, other.fence) == (OTHER_WORKER, None)
        pair.other.append([burial("xy"[left - 1])])
    assert [peer.incarnation for peer in pair.one.peers()] == [OTHER_WORKER]


def test_the_fenced_with_nothing_live_are_no_peers(pair: Pair) -> None:
    """A worker that was fenced when all that it had begun had ended leaves nothing to bury, and is not told of."""
    pair.one.append([*life("x", RUNNING), moved("x", 3, RUNNING, COMPLETED)])
    pair.other.fence(WORKER, OTHER_WORKER, EXITED)
    assert [peer.incarnation for peer in pair.other.peers()] == [OTHER_WORKER]


def test_many_fenced_among_many_alive(pair: Pair) -> None:
    """Of workers of every kind, in any order of arrival, the peers are exactly those that are there and those not yet buried."""
    expected = [WORKER, OTHER_WORKER]
    for number in range(24):
        name = f"worker-{number:02}"
        pair.one.join(name, LEASE)
        if number % 2:
            pair.one.append(life(f"live-{name}", RUNNING, incarnation=name))
        if number % 3 == 0:
            pair.one.fence(name, OTHER_WORKER, EXITED)
        elif number % 4 == 0:
            pair.one.leave(name)
        if number % 2 if number % 3 == 0 else number % 4:
            expected.append(name)
    assert [peer.incarnation for peer in pair.other.peers()] == expected
    workers = {worker.incarnation: worker for worker in pair.other.workers()}
    for peer in pair.other.peers():
        worker = workers[peer.incarnation]
        assert peer == (
            worker.incarnation, worker.lease, worker.renewed_at_ns, worker.renewed_age, worker.expired, worker.fence,
        )  # fmt: skip


# -- what it costs ----------------------------------------------------------------------------------------------------------

GONE = 3_000
"""Workers that have left, and as many that were fenced, all of them settled and none of them pruned."""
assert GONE > SUSPECTS


def _on_sqlite(place: str) -> int:
    """Instructions that SQLite takes to answer."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with contextlib.closing(sqlite3.connect(place)) as connection:
        connection.set_progress_handler(step, 1)
        connection.execute(_sql_fleet.PEERS, {"boot_id": "", "now_ns": 0}).fetchall()
    return steps


def _on_postgres(place: str) -> int:
    """Rows that PostgreSQL looks at to answer, with the settings of a worker's session."""
    with cluster.server().connect(place) as connection:
        connection.execute(_postgres_sql.WORKING)
        row = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + _postgres_fleet_sql.PEERS, {}).fetchone()
    assert row is not None
    return _rows_of(row[0][0]["Plan"])


def _rows_of(step: dict[str, Any]) -> int:
    assert step["Node Type"] != "Seq Scan", step
    looked_at = step["Actual Rows"] + step.get("Rows Removed by Filter", 0) + step.get("Rows Removed by Join Filter", 0)
    return int(looked_at * step["Actual Loops"]) + sum(_rows_of(part) for part in step.get("Plans", []))


def _crowd(shared: SharedStore) -> None:
    """Make the gone."""
    newest, series = (
        ("(SELECT seq FROM sqlite_sequence WHERE name = 'entries')", "json_each('[' || substr(replace(hex(zeroblob({})), '00', ',0'), 2) || ']')")
        if shared.name == "sqlite"
        else ("(SELECT max(position) FROM runstate.entries)", "generate_series(1, {})")
    )  # fmt: skip
    workers = "workers" if shared.name == "sqlite" else "runstate.workers"
    gone = f"UPDATE {workers} SET gone_at_ns = 5, gone_position = {newest}"
    statements = (
        f"INSERT INTO {workers} (incarnation) SELECT 'left-' || row_number() OVER () FROM {series.format(GONE)}",
        f"{gone} WHERE incarnation LIKE 'left-%'",
        f"INSERT INTO {workers} (incarnation) SELECT 'fenced-' || row_number() OVER () FROM {series.format(GONE)}",
        f"{gone}, fenced_by = 'somebody', fence_cause = 'reported' WHERE incarnation LIKE 'fenced-%'",
    )
    if shared.name != "sqlite":
        execute(shared.place, *statements)
        return
    with contextlib.closing(sqlite3.connect(shared.place, isolation_level=None)) as connection:
        for statement in ("BEGIN", *statements, "COMMIT"):
            connection.execute(statement)


def test_neither_the_live_nor_the_gone_make_it_slow(shared: SharedStore, pair: Pair) -> None:
    """Asking for five peers looks neither at the hundreds of executions that each has live nor at the thousands of workers that are gone."""
    for number in range(2):
        pair.one.join(f"more-{number}", LEASE)
        pair.one.append(life(f"x-{number}", RUNNING, incarnation=f"more-{number}"))
    pair.one.append([*life("x", RUNNING), *life("fenced", RUNNING, incarnation=THIRD_WORKER)])
    pair.other.fence(THIRD_WORKER, OTHER_WORKER, EXITED)
    cost = _on_sqlite if shared.name == "sqlite" else _on_postgres
    before, peers = cost(shared.place), pair.one.peers()
    assert [peer.incarnation for peer in peers] == [WORKER, OTHER_WORKER, "more-0", "more-1", THIRD_WORKER]
    for owner in (WORKER, OTHER_WORKER, "more-0", "more-1"):
        pair.one.append(lives([f"{owner}-{number}" for number in range(500)], RUNNING, incarnation=owner))
    _crowd(shared)
    assert pair.one.peers() == peers
    each = {"sqlite": 20, "postgres": 6}[shared.name]  # instructions, or rows, for each of those that are asked about
    assert cost(shared.place) - before < each * SUSPECTS
