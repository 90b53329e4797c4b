-- What was tried for an object and failed: how often in a row, and when it is tried again (never before it changes, where there is no such instant).
CREATE TABLE retries (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    token TEXT NOT NULL,
    failures INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    last_at TEXT NOT NULL,
    next_at TEXT,
    PRIMARY KEY (project, environment, object)
) STRICT, WITHOUT ROWID;

-- Platforms that asked to be left alone for a while.
CREATE TABLE pauses (
    adapter TEXT PRIMARY KEY,
    until TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Runs of which only that they have ended is kept: shown nowhere, and never run again.
ALTER TABLE runs ADD COLUMN deleted_at TEXT;

CREATE INDEX runs_shown ON runs (created_at, deleted_at) WHERE deleted_at IS NULL;
