CREATE TABLE places (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    lineage TEXT NOT NULL,
    folder TEXT NOT NULL,
    registered_at TEXT NOT NULL,
    PRIMARY KEY (project, environment)
) STRICT;

CREATE TABLE revisions (
    digest TEXT PRIMARY KEY,
    adapter TEXT NOT NULL,
    spec TEXT NOT NULL,
    resolved TEXT,
    created_at TEXT NOT NULL,
    deployed_at TEXT
) STRICT;

CREATE TABLE workflows (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    revision TEXT NOT NULL REFERENCES revisions (digest),
    facts TEXT NOT NULL,
    source TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (project, environment, name)
) STRICT;

CREATE TABLE runs (
    uid TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    owner TEXT NOT NULL,
    source TEXT NOT NULL,
    workflow TEXT NOT NULL,
    revision TEXT NOT NULL REFERENCES revisions (digest),
    adapter TEXT NOT NULL,
    spec_hash TEXT NOT NULL,
    input TEXT NOT NULL,
    facts TEXT NOT NULL,
    rerun TEXT NOT NULL DEFAULT '',
    suspend INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 0,
    concurrency INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    claim INTEGER NOT NULL DEFAULT 0,
    confirmed INTEGER NOT NULL DEFAULT 0,
    journal_size INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 1,
    deaths INTEGER NOT NULL DEFAULT 0,
    cancel TEXT,
    cancel_sent_at TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    due_at TEXT,
    not_before TEXT,
    output TEXT,
    error TEXT,
    UNIQUE (project, environment, name, incarnation)
) STRICT;

CREATE INDEX runs_unfinished ON runs (uid) WHERE completed_at IS NULL;
CREATE INDEX runs_by_time ON runs (created_at);
CREATE INDEX runs_by_revision ON runs (revision);

CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    verb TEXT NOT NULL,
    data TEXT NOT NULL,
    who TEXT NOT NULL,
    at TEXT NOT NULL,
    handled_at TEXT
) STRICT;

CREATE INDEX requests_open ON requests (id) WHERE handled_at IS NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    UNIQUE (project, environment, object, reason, message)
) STRICT;

CREATE TABLE passes (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    folder TEXT NOT NULL,
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    revision TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT;
