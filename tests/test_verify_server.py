"""`verify` on a PostgreSQL database: a sound journal has no findings, and each damage is found and named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

import runstate
from runstate import ExecutionState, Phase
from runstate.cli import main
from runstate.journal import _migrations
from runstate.journal.postgres import PostgresJournal

from . import cluster
from .forging import populate_fleet
from .journal.entries import created, life, phased, warned
from .journal.servers import execute
from .moves import bring_to
from .test_verify import Damage
from .test_verify_fleet import FLEET_DAMAGES


@pytest.fixture(scope="module")
def sound() -> Iterator[str]:
    """A journal with one execution in each state, one that was phased, and one that was warned of."""
    url = cluster.server().journal()
    journal = PostgresJournal(url)
    for state in ExecutionState:
        journal.append(life(state.value, state))
    journal.append([created("phased"), phased("phased", 2, Phase.TOOL_EXECUTION, detail="x")])
    journal.append([created("warned"), warned("warned", 2)])
    journal.close()
    yield url
    cluster.server().drop(url)


@pytest.fixture
def damaged(sound: str) -> Iterator[str]:
    """The same, for this test alone."""
    name = f"damaged_{cluster.server()._prefix}"
    cluster.server().execute(f"CREATE DATABASE {name} TEMPLATE {sound.partition('?')[0].rpartition('/')[2]}")
    yield cluster.server().url_of(name)
    cluster.server().execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_sound_journal_has_no_findings(sound: str) -> None:
    """Executions in every state, and an empty journal, are sound; also while they are written."""
    assert runstate.verify(sound) == ()
    url = cluster.server().journal()
    with runstate.open(url) as tracker:
        assert runstate.verify(url) == ()
        bring_to(tracker, ExecutionState.RUNNING)
        tracker.flush()
        assert runstate.verify(url) == ()
    assert runstate.verify(url) == ()
    cluster.server().drop(url)


DAMAGES = {
    "transition": "UPDATE entries SET source = 'pending' WHERE number = 5 AND seq = 3",
    "log": "DELETE FROM entries WHERE number = 5 AND seq = 2",
    "end": "INSERT INTO entries (number, seq, at_ns, worker, phase) VALUES (6, 3, 9000000000000000000, 1, 'thinking')",
    "cause": "UPDATE entries SET cause = 'deadline' WHERE number = 6 AND seq = 2",
    "owner": "INSERT INTO workers (incarnation) VALUES ('x'); UPDATE entries SET worker = 2 WHERE number = 3 AND seq = 2",
    "time": "UPDATE entries SET at_ns = 5 WHERE number = 3 AND seq = 2",
    "fold": "UPDATE executions SET seq = 7 WHERE number = 1",
    "decode": "UPDATE entries SET evidence_json = 'nonsense' WHERE number = 6 AND seq = 2",
    "orphan": "DELETE FROM executions WHERE number = 6",
    "unique": "ALTER TABLE executions DROP CONSTRAINT executions_execution_id_key; "
    "UPDATE executions SET execution_id = 'running' WHERE number = 1",
    "meta": "SELECT setval('entries_position_seq', 3)",
    "schema": "DROP INDEX executions_live",
}


@pytest.mark.parametrize("rule", DAMAGES)
def test_each_damage_is_found(damaged: str, rule: str) -> None:
    """A damage done with the rules switched off is found under its rule; the rules, switched on again, are as rendered."""
    checks = execute(
        damaged, "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'entries_check'"
    )
    execute(
        damaged,
        "SET session_replication_role = replica; SET search_path = runstate; ALTER TABLE entries DROP CONSTRAINT entries_check; "
        f"{DAMAGES[rule]}; ALTER TABLE entries ADD CONSTRAINT entries_check {checks[0][1]} NOT VALID; "
        "UPDATE pg_constraint SET convalidated = true WHERE conname = 'entries_check'",
    )
    found = runstate.verify(damaged)
    assert rule in {finding.rule for finding in found}
    assert {finding.rule for finding in found} - {"schema"} or rule == "schema"


SWITCHED_OFF = {
    "trigger": "ALTER TABLE runstate.entries DISABLE TRIGGER executions_follow_the_log",
    "is missing": "DROP TRIGGER entries_never_change ON runstate.entries",
    "not as rendered": "CREATE OR REPLACE FUNCTION runstate.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "does not belong": "CREATE FUNCTION runstate.mine() RETURNS void LANGUAGE sql AS ''",
    "constraint": "ALTER TABLE runstate.entries DROP CONSTRAINT entries_check",
    "not known here": "SET session_replication_role = replica; INSERT INTO runstate.meta VALUES ('mine', 1)",
}


@pytest.mark.parametrize("said", SWITCHED_OFF)
def test_a_rule_that_is_switched_off_is_found(damaged: str, said: str) -> None:
    """A trigger that is switched off or gone, a function that was replaced or added, a lost constraint: each is a finding."""
    execute(damaged, SWITCHED_OFF[said])
    (finding,) = runstate.verify(damaged)
    assert said in finding.message
    assert finding.rule in {"schema", "meta"}


@pytest.fixture(params=["writer", "reader"])
def granted(damaged: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The damaged journal's URL for a role with the rights that docs/fleet.md gives it."""
    page = (Path(__file__).parent.parent / "docs" / "fleet.md").read_text(encoding="utf-8")
    (grants,) = re.findall(r"```sql\n(GRANT USAGE.*?)```", page, re.DOTALL)
    prefix = f"verify_{urlsplit(damaged).path[1:]}"
    names = [f"{prefix}_{role}" for role in ("writer", "reader")]
    execute(damaged, *(f"CREATE ROLE {name} LOGIN" for name in names), grants.replace("runstate_", f"{prefix}_"))
    yield urlsplit(damaged)._replace(netloc=f"{prefix}_{request.param}@").geturl()
    for name in names:
        execute(damaged, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_the_documented_roles_find_what_the_owner_finds(damaged: str, granted: str) -> None:
    """With the documented rights a sound journal has no findings, and a counter that was set back is one."""
    assert runstate.verify(granted) == runstate.verify(damaged) == ()
    execute(damaged, "SELECT setval('runstate.executions_number_seq', 3), setval('runstate.entries_position_seq', 3)")
    found = runstate.verify(granted)
    assert found == runstate.verify(damaged)
    assert [finding.message.partition(" ")[0] for finding in found] == ["executions.number", "entries.position"]


def test_a_counter_that_may_not_be_seen_is_no_finding(damaged: str, granted: str) -> None:
    """A role without the right on the counters says nothing about them, and still finds the rest."""
    execute(damaged, f"REVOKE SELECT ON ALL SEQUENCES IN SCHEMA runstate FROM {urlsplit(granted).username}")
    assert runstate.verify(granted) == ()
    execute(damaged, SWITCHED_OFF["trigger"])
    assert [finding.rule for finding in runstate.verify(granted)] == ["schema"]


def test_a_counter_that_has_never_counted_is_found(damaged: str) -> None:
    """To who may see the counters, one that was started anew is a finding."""
    execute(damaged, "ALTER SEQUENCE runstate.entries_position_seq RESTART")
    (finding,) = runstate.verify(damaged)
    assert finding.rule == "meta"
    assert "its counter says None" in finding.message


def test_what_is_no_journal_is_a_finding(damaged: str) -> None:
    """Nothing there, somebody else's schema, another version and a server that does not answer are findings, not errors."""
    execute(damaged, "UPDATE runstate.meta SET value = 99 WHERE key IN ('schema', 'serves')")
    assert [finding.rule for finding in runstate.verify(damaged)] == ["version"]
    execute(damaged, "DROP SCHEMA runstate CASCADE")
    assert [finding.rule for finding in runstate.verify(damaged)] == ["file"]
    execute(damaged, "CREATE SCHEMA runstate")
    assert [finding.rule for finding in runstate.verify(damaged)] == ["format"]
    (finding,) = runstate.verify(damaged.replace("/damaged_", "/missing_"))
    assert finding.rule == "file"


def test_the_names_of_constraints_are_postgresqls() -> None:
    """A fresh journal has exactly the constraints that are looked for: none is forgotten."""
    from runstate._verify._server import _NAMED_CONSTRAINTS

    url = cluster.server().empty_database()
    with cluster.server().connect(url) as connection:
        _migrations.prepare(connection, "here")
    found = execute(
        url,
        "SELECT conname FROM pg_constraint WHERE connamespace = 'runstate'::regnamespace "
        "AND contype <> 'n'",  # which PostgreSQL 18 lists as well
    )
    assert {name for (name,) in found} == _NAMED_CONSTRAINTS
    cluster.server().drop(url)


def test_the_command_shows_no_password(private: cluster.Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """`runstate verify` and `ls` take a URL, and what they print of it, to people and as JSON, holds no password."""
    private.execute(f"ALTER ROLE runstate PASSWORD '{cluster.PASSWORD}'")
    here = private.journal()
    by_option = (
        f"{private.tcp_url_of(here, password='').replace(':@', '@')}?password={quote(cluster.PASSWORD, safe='')}"
    )
    for url in (private.tcp_url_of(here), by_option):
        for options in (["verify"], ["verify", "--json"], ["ls"], ["ls", "--json"]):
            assert main([*options, "--journal", url]) == 0
            printed = capsys.readouterr()
            assert cluster.PASSWORD not in printed.out + printed.err
            assert quote(cluster.PASSWORD, safe="") not in printed.out + printed.err
    private.drop(here)


# -- the fleet --------------------------------------------------------------------------------------------------------

UNTRANSLATABLE = {
    "a host that is no UTF-8": "the server checks the encoding of every text",
    "a nameless request": "the domain of names cannot be switched off",
}
CHECKED = ("workers", "requests", "rejected", "executions", "entries")


@pytest.fixture(scope="module")
def fleet() -> Iterator[str]:
    """A journal of several workers, one of them fenced, with burials, requests and a rejected end."""
    url = cluster.server().journal()
    journal = PostgresJournal(url)
    populate_fleet(journal)
    journal.close()
    yield url
    cluster.server().drop(url)


@pytest.mark.parametrize(
    "damage", [one for one in FLEET_DAMAGES if one.name not in UNTRANSLATABLE], ids=lambda damage: damage.name
)
def test_every_damage_of_a_fleet_is_found(fleet: str, damage: Damage) -> None:
    """What is damaged of workers, fences, burials, requests and rejected ends is found under the same rules as in a file."""
    server = cluster.server()
    name = f"damaged_fleet_{server._prefix}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE {fleet.partition('?')[0].rpartition('/')[2]}")
    url = server.url_of(name)
    checks = execute(
        url,
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND "
        f"conrelid = ANY ('{{{','.join(f'runstate.{table}' for table in CHECKED)}}}'::regclass[])",
    )
    forged = [statement.replace("boot_id", "process") for statement in damage.sql]
    execute(
        url,
        "SET session_replication_role = replica",
        "SET search_path = runstate",
        *(f"ALTER TABLE {table} DROP CONSTRAINT {check}" for table, check, _ in checks),
        *forged,
        *(f"ALTER TABLE {table} ADD CONSTRAINT {check} {said} NOT VALID" for table, check, said in checks),
        "UPDATE pg_constraint SET convalidated = true WHERE connamespace = 'runstate'::regnamespace",
    )
    rule = {"foreign_key": "orphan"}.get(damage.rule, damage.rule)
    try:
        found = runstate.verify(url)
        assert {finding.rule for finding in found} == {rule} | damage.besides, found
    finally:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
