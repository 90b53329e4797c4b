-- What other processes ask of a living loop, and what it answers. Answers are removed when they have been read, or an hour later.
CREATE TABLE wishes (
    id INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    wish TEXT NOT NULL,
    answer TEXT
) STRICT;
