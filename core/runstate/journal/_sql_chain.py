"""The chains of executions in the SQLite schema: which one retries which, and which message it answers.

A part of version 2. The index on the message is the compare-and-set between two processes that are asked the same thing: of all that
try to begin an execution for a message one succeeds, and every attempt after it has its own place in the index. A message's key is its
thread, its user and its id: the id is the client's, so that of one user says nothing of another's. The user stands behind the id, so that
the index also finds the message of a thread.

An attempt is taken only while the first of its chain is there: one whose first was refused is refused with it.
"""

from __future__ import annotations

from typing import Final

from ._rules import CHAIN_BROKEN

CHAINED: Final = f"""
ALTER TABLE executions ADD COLUMN retry_of TEXT CHECK (retry_of <> '' AND retry_of <> execution_id);
ALTER TABLE executions ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1
    CHECK (attempt > 0 AND (attempt = 1) = (retry_of IS NULL));
ALTER TABLE executions ADD COLUMN message_id TEXT CHECK (message_id <> '');
CREATE UNIQUE INDEX executions_by_message ON executions (thread_id, message_id, user_id, attempt)
    WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX executions_by_chain ON executions (retry_of, attempt) WHERE retry_of IS NOT NULL;

CREATE TRIGGER executions_keep_their_chain BEFORE INSERT ON executions
WHEN coalesce(NEW.message_id, NEW.retry_of) IS NOT NULL AND (
    EXISTS (SELECT 1 FROM executions
            WHERE thread_id = NEW.thread_id AND message_id = NEW.message_id AND user_id = NEW.user_id AND attempt = NEW.attempt)
    OR EXISTS (SELECT 1 FROM executions WHERE retry_of = NEW.retry_of AND attempt = NEW.attempt)
    OR (NEW.retry_of IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM executions WHERE execution_id = NEW.retry_of
        AND attempt = 1 AND thread_id = NEW.thread_id AND user_id = NEW.user_id AND message_id IS NEW.message_id))
)
BEGIN SELECT RAISE(ABORT, '{CHAIN_BROKEN}'); END;
"""
"""What version 1 lacks. The trigger refuses as the indexes do, and also what `INSERT OR REPLACE` would let them overwrite."""
