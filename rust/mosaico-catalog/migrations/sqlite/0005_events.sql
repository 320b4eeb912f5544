-- What happened, newest last; the files below events/ hold all but the newest.
CREATE TABLE event (
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    -- Names as they were then.
    sequence TEXT,
    topic    TEXT,
    at_ns    INTEGER NOT NULL,
    detail   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What becomes of a sequence whose writer is gone, and when that was done.
ALTER TABLE sequence ADD COLUMN on_error TEXT NOT NULL DEFAULT 'report';
ALTER TABLE sequence ADD COLUMN ended_ns INTEGER;
