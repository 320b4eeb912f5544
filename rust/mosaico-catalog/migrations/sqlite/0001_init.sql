-- The catalogue: an index over the store's records that can be rebuilt from them at any time.

CREATE TABLE sequence (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    key           TEXT NOT NULL,
    user_metadata TEXT NOT NULL,
    created_ns    INTEGER NOT NULL,
    finalized_ns  INTEGER,
    deleting      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE topic (
    id                   TEXT PRIMARY KEY,
    sequence_id          TEXT NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path                 TEXT NOT NULL,
    ontology_tag         TEXT NOT NULL,
    serialization_format TEXT NOT NULL,
    user_metadata        TEXT NOT NULL,
    key                  TEXT NOT NULL,
    created_ns           INTEGER NOT NULL,
    committed_ns         INTEGER,
    deleting             INTEGER NOT NULL DEFAULT 0,
    -- IPC schema message; set by the first put.
    schema               BLOB,
    -- Sums over the topic's chunks, so that infos need no aggregation.
    chunks               INTEGER NOT NULL DEFAULT 0,
    row_count            INTEGER NOT NULL DEFAULT 0,
    stored_bytes         INTEGER NOT NULL DEFAULT 0,
    data_bytes           INTEGER NOT NULL DEFAULT 0,
    ts_min               INTEGER,
    ts_max               INTEGER,
    UNIQUE (sequence_id, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX topic_tag ON topic (ontology_tag);

CREATE TABLE chunk (
    topic_id   TEXT NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    idx        INTEGER NOT NULL,
    row_start  INTEGER NOT NULL,
    row_count  INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    data_bytes INTEGER NOT NULL,
    ts_min     INTEGER NOT NULL,
    ts_max     INTEGER NOT NULL,
    crc32      INTEGER NOT NULL,
    PRIMARY KEY (topic_id, idx)
) STRICT, WITHOUT ROWID;

-- Exact bounds of leaf columns. `path` is a JSON array of names, `lo` and `hi` read back exactly.
CREATE TABLE chunk_column (
    topic_id TEXT NOT NULL,
    idx      INTEGER NOT NULL,
    path     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    nulls    INTEGER NOT NULL,
    has_nan  INTEGER NOT NULL,
    lo       TEXT,
    hi       TEXT,
    PRIMARY KEY (topic_id, idx, path),
    FOREIGN KEY (topic_id, idx) REFERENCES chunk (topic_id, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE notification (
    id          TEXT PRIMARY KEY,
    sequence_id TEXT NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    topic_id    TEXT REFERENCES topic (id) ON DELETE CASCADE,
    notify_type TEXT NOT NULL,
    msg         TEXT NOT NULL,
    created_ns  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX notification_sequence ON notification (sequence_id);
CREATE INDEX notification_topic ON notification (topic_id);

-- Changes that were begun in the store and not yet taken over here. What is left at start is redone from the
-- records of the sequence.
CREATE TABLE pending (
    id          INTEGER PRIMARY KEY,
    sequence_id TEXT NOT NULL
) STRICT;
