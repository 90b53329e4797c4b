-- Where a run comes from: its parent run, the incarnation whose results it starts with, what its keys are derived from.
ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT '{}';

-- Messages for the inboxes of runs: remembered before they are delivered, kept as long as the run.
CREATE TABLE messages (
    uid TEXT NOT NULL,
    id TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at TEXT NOT NULL,
    delivered_at TEXT,
    PRIMARY KEY (uid, id)
) STRICT, WITHOUT ROWID;
