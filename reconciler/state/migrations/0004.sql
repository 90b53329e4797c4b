-- Facts about this database itself: `rebuilt` says that what the platforms can prove is in it.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks (name, value) SELECT 'rebuilt', '' WHERE EXISTS (SELECT 1 FROM places) OR EXISTS (SELECT 1 FROM runs);

-- Places with a lineage that passes have worked on here, or that a person has answered for: what is not in it was never run here.
CREATE TABLE known_places (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    lineage TEXT NOT NULL,
    answer TEXT NOT NULL,
    who TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (project, environment, lineage)
) STRICT, WITHOUT ROWID;

INSERT INTO known_places SELECT project, environment, lineage, '', '', registered_at FROM places;

-- What is kept of ended runs: one row for each workflow and schedule that says so, with when to look at it next.
CREATE TABLE keeps (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    keep TEXT NOT NULL,
    due_at TEXT,
    PRIMARY KEY (project, environment, object)
) STRICT, WITHOUT ROWID;

CREATE INDEX keeps_due ON keeps (due_at) WHERE due_at IS NOT NULL;

ALTER TABLE runs ADD COLUMN collected_at TEXT;

CREATE INDEX runs_kept ON runs (project, environment, workflow, status, completed_at) WHERE completed_at IS NOT NULL AND collected_at IS NULL;

CREATE INDEX runs_of_schedules ON runs (project, environment, json_extract(origin, '$.schedule.name'), status, completed_at)
 WHERE completed_at IS NOT NULL AND collected_at IS NULL AND json_extract(origin, '$.schedule.name') IS NOT NULL;

-- Whether what a lost database would need of a revision is kept beside it.
ALTER TABLE revisions ADD COLUMN described INTEGER NOT NULL DEFAULT 0;

CREATE INDEX revisions_not_described ON revisions (digest) WHERE deployed_at IS NOT NULL AND described = 0;
