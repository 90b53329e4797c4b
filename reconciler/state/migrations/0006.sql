-- What became of a request: in effect while `handled_at` is empty, then how it ended.
ALTER TABLE requests ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_of_object ON requests (object, project, environment);

-- Events are followed and bounded by the order in which they last happened.
ALTER TABLE events ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;
UPDATE events SET seq = id;
CREATE INDEX events_by_seq ON events (seq);
CREATE INDEX events_by_time ON events (last_at);
CREATE INDEX events_of_object ON events (object, project, environment, seq);

-- Who ran a pass that did something, and how long it took.
ALTER TABLE passes ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE passes ADD COLUMN duration_ms INTEGER;

-- What passes found out about objects and nothing else remembers: rejected edits, holds, failed deploys. `since` is when `status` last flipped.
CREATE TABLE conditions (
    project TEXT NOT NULL,
    environment TEXT NOT NULL,
    object TEXT NOT NULL,
    type TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    since TEXT NOT NULL,
    PRIMARY KEY (project, environment, object, type)
) STRICT, WITHOUT ROWID;
