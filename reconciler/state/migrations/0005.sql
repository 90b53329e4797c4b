-- The branches that the last pass of a place may have been on, one a line, and why the place is held, if it is.
ALTER TABLE places ADD COLUMN branches TEXT NOT NULL DEFAULT '';
ALTER TABLE places ADD COLUMN held TEXT NOT NULL DEFAULT '';
