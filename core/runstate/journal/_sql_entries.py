"""The SQLite table `entries` in both versions of the schema: what they share, and how the one becomes the other.

Version 2 knows warnings: rows with neither a target nor a phase, whose cause is one of DEAD's; and more causes of ends. Version 1 has
CHECKs that forbid them, and SQLite changes no CHECK of a table that is there: the table is made anew, and its rows are copied. Writing the new text
into `sqlite_schema` would spare the copying, but some builds of SQLite forbid that.
"""

from __future__ import annotations

from typing import Final

from .._states import Cause, ExecutionState, Phase
from ._rules import ENTRY_CHANGED, NEWER_CAUSES, accepted_causes, has_ended, is_live, one_of, threatens

_COLUMNS: Final = f"""
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    number INTEGER NOT NULL REFERENCES executions,
    seq INTEGER NOT NULL CHECK (seq > 0),
    at_ns INTEGER NOT NULL,
    worker INTEGER NOT NULL REFERENCES workers,
    source TEXT CHECK ({one_of("source", ExecutionState)}),
    target TEXT CHECK ({one_of("target", ExecutionState)}),
    phase TEXT CHECK ({one_of("phase", Phase)}),
    detail TEXT,
    cause TEXT CHECK ({{causes}}),
    error TEXT,
    evidence_json TEXT,
    result_json TEXT,
    UNIQUE (number, seq),"""
VERSION_1: Final = f"""{_COLUMNS.format(causes=one_of("cause", (cause for cause in Cause if cause not in NEWER_CAUSES)))}
    CHECK ((target IS NULL) <> (phase IS NULL)),
    CHECK (CASE WHEN {has_ended("target")} THEN evidence_json IS NOT NULL AND cause IS NOT NULL AND ({accepted_causes(NEWER_CAUSES)})
           ELSE cause IS NULL AND evidence_json IS NULL AND error IS NULL END),
    CHECK (result_json IS NULL OR target = '{ExecutionState.COMPLETED.value}'),
    CHECK (detail IS NULL OR phase IS NOT NULL)
"""
"""What stands between the brackets of version 1's table."""

FOLLOWED: Final = """
CREATE TRIGGER executions_follow_the_log AFTER INSERT ON entries
BEGIN
    UPDATE executions
    SET seq = NEW.seq, state = coalesce(NEW.target, state), updated_at_ns = NEW.at_ns,
        phase = coalesce(NEW.phase, phase),
        phase_detail = CASE WHEN NEW.phase IS NULL THEN phase_detail ELSE NEW.detail END
    WHERE number = NEW.number;
END;
"""

KEPT: Final = f"""
CREATE TRIGGER entries_never_change BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, '{ENTRY_CHANGED}'); END;

CREATE TRIGGER entries_go_with_their_execution BEFORE DELETE ON entries
WHEN EXISTS (SELECT 1 FROM executions WHERE number = OLD.number AND {is_live("state")})
BEGIN SELECT RAISE(ABORT, '{ENTRY_CHANGED}'); END;
"""

MADE_ANEW: Final = f"""
PRAGMA legacy_alter_table = ON;
ALTER TABLE entries RENAME TO entries_1;
PRAGMA legacy_alter_table = OFF;
CREATE TABLE entries ({_COLUMNS.format(causes=one_of("cause", Cause))}
    CHECK (target IS NULL OR (phase IS NULL AND detail IS NULL)),
    CHECK (CASE WHEN {has_ended("target")} THEN evidence_json IS NOT NULL AND cause IS NOT NULL AND ({accepted_causes()})
           ELSE evidence_json IS NULL AND error IS NULL
            AND CASE WHEN target IS NULL AND phase IS NULL THEN cause IS NOT NULL AND {threatens("cause")}
                ELSE cause IS NULL END END),
    CHECK (result_json IS NULL OR target = '{ExecutionState.COMPLETED.value}')
) STRICT;
INSERT INTO sqlite_sequence (name, seq) SELECT 'entries', seq FROM sqlite_sequence WHERE name = 'entries_1';
INSERT INTO entries SELECT * FROM entries_1;
DROP TABLE entries_1;
{FOLLOWED}{KEPT}"""
"""With every position as it was, and no trigger but those that version 1 has as well; which entries are taken, version 2 says itself.

In its legacy way a renaming leaves alone what stands in other tables' triggers.
"""
