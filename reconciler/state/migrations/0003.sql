-- Schedules, as a pass last applied them. Slots up to `since` are over: they made a run, were skipped, or came before the schedule was there.
-- `next_at` is the first slot after it, empty while nothing is to come (suspended); `counts` says how many slots were skipped, by reason.
CREATE TABLE schedules (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    spec TEXT NOT NULL,
    labels TEXT NOT NULL,
    source TEXT NOT NULL,
    suspended INTEGER NOT NULL DEFAULT 0,
    since TEXT NOT NULL,
    next_at TEXT NOT NULL DEFAULT '',
    last_slot TEXT NOT NULL DEFAULT '',
    counts TEXT NOT NULL DEFAULT '{}',
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    PRIMARY KEY (project, environment, name)
) STRICT;

-- A slot makes one run, whoever looks at it; a run that a person asked for now (`manual`) is of no slot.
CREATE UNIQUE INDEX runs_by_slot ON runs (
    project, environment, json_extract(origin, '$.schedule.name'), json_extract(origin, '$.schedule.slot'), incarnation
) WHERE json_extract(origin, '$.schedule.slot') IS NOT NULL AND json_extract(origin, '$.schedule.manual') IS NULL;
