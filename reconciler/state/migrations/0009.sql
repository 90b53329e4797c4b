-- Cards in TaskYou. Which card a run, a schedule or an approval has is decided when that begins; `link` is a task that we did not make and never write.
-- `id` is empty until the card is known to be there. `wrote` is what we last wrote, `ours` digests of texts that may be ours, `seen` the status last read.
-- `basis` is what the card was last written for, `extra` what is told of approvals ('over'). `settled`: nothing about it changes any more.
CREATE TABLE cards (
    tag TEXT PRIMARY KEY,
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    kind TEXT NOT NULL,
    uid TEXT NOT NULL,
    database TEXT NOT NULL,
    id INTEGER,
    spec TEXT NOT NULL,
    wrote TEXT NOT NULL DEFAULT '{}',
    ours TEXT NOT NULL DEFAULT '[]',
    seen TEXT NOT NULL DEFAULT '',
    basis TEXT NOT NULL DEFAULT '',
    extra TEXT NOT NULL DEFAULT '',
    gone INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    trouble TEXT NOT NULL DEFAULT '',
    next_at TEXT,
    created_at TEXT NOT NULL,
    written_at TEXT,
    UNIQUE (project, environment, object)
) STRICT;

CREATE INDEX cards_unsettled ON cards (tag) WHERE NOT settled;
CREATE INDEX cards_by_uid ON cards (uid);
CREATE INDEX cards_by_id ON cards (id) WHERE id IS NOT NULL;

-- What came last of each schedule.
CREATE INDEX runs_ended_of_schedules ON runs (project, environment, owner, completed_at) WHERE substr(owner, 1, 9) = 'schedule/';
