-- The catalog: an index over the store's records that can be rebuilt from them at any time.

-- The store whose catalog this is, and the id that the store has of this catalog. At most one row.
CREATE TABLE store_link (
    store   TEXT NOT NULL,
    catalog TEXT NOT NULL
) STRICT;

-- Tables whose rows may be large have row ids: a key in the table itself would be compared through the whole row.
CREATE TABLE sequence (
    id            TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    key           TEXT NOT NULL,
    user_metadata TEXT NOT NULL,
    created_ns    INTEGER NOT NULL,
    finalized_ns  INTEGER,
    deleting      INTEGER NOT NULL DEFAULT 0,
    -- What becomes of it if its writer is gone, and when that was done.
    on_error      TEXT NOT NULL DEFAULT 'report',
    ended_ns      INTEGER
) STRICT;

-- Topics of one kind share their schema; without it, rows of topics are small and quickly read.
CREATE TABLE schema_snapshot (
    id  INTEGER PRIMARY KEY,
    -- IPC schema message.
    ipc BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE topic (
    id                   TEXT NOT NULL PRIMARY KEY,
    sequence_id          TEXT NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path                 TEXT NOT NULL,
    ontology_tag         TEXT NOT NULL,
    serialization_format TEXT NOT NULL,
    user_metadata        TEXT NOT NULL,
    key                  TEXT NOT NULL,
    created_ns           INTEGER NOT NULL,
    committed_ns         INTEGER,
    deleting             INTEGER NOT NULL DEFAULT 0,
    -- Set by the first put.
    schema_id            INTEGER REFERENCES schema_snapshot (id),
    -- Sums over the topic's chunks, so that infos need no aggregation.
    chunks               INTEGER NOT NULL DEFAULT 0,
    row_count            INTEGER NOT NULL DEFAULT 0,
    stored_bytes         INTEGER NOT NULL DEFAULT 0,
    data_bytes           INTEGER NOT NULL DEFAULT 0,
    ts_min               INTEGER,
    ts_max               INTEGER,
    -- How often the topic's writer resumed after its connection broke.
    resumed              INTEGER NOT NULL DEFAULT 0,
    -- Damaged segments of the topic's write-ahead log, as a JSON array; NULL: none.
    damage               TEXT,
    -- Columns whose bounds are known of every chunk; 0 while rows may still come.
    bounded              INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sequence_id, path)
) STRICT;

CREATE INDEX topic_tag ON topic (ontology_tag, sequence_id);
CREATE INDEX topic_kind ON topic (ontology_tag, schema_id, bounded, sequence_id);
CREATE INDEX topic_path ON topic (path, sequence_id);

-- A chunk is known by its writer epoch and its number in that.
CREATE TABLE chunk (
    topic_id   TEXT NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    epoch      INTEGER NOT NULL,
    idx        INTEGER NOT NULL,
    row_start  INTEGER NOT NULL,
    row_count  INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    data_bytes INTEGER NOT NULL,
    ts_min     INTEGER NOT NULL,
    ts_max     INTEGER NOT NULL,
    crc32      INTEGER NOT NULL,
    PRIMARY KEY (topic_id, epoch, idx)
) STRICT, WITHOUT ROWID;

-- Exact bounds of leaf columns. `path` is a JSON array of names, `lo` and `hi` read back exactly.
CREATE TABLE chunk_column (
    topic_id TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    path     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    nulls    INTEGER NOT NULL,
    has_nan  INTEGER NOT NULL,
    lo       TEXT,
    hi       TEXT,
    -- Bounds as numbers, rounded where the texts are exact, so that chunks whose values overlap a range are found by an
    -- index.
    low      REAL,
    high     REAL,
    PRIMARY KEY (topic_id, epoch, idx, path),
    FOREIGN KEY (topic_id, epoch, idx) REFERENCES chunk (topic_id, epoch, idx) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX chunk_column_number ON chunk_column (path, low, high) WHERE low IS NOT NULL;
CREATE INDEX chunk_column_text ON chunk_column (path, lo, hi) WHERE kind = 'text';

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

-- The members of user metadata by dotted path, without what lies in arrays. Queries find candidates here and look at
-- the metadata itself for the exact answer, so that texts may be shortened.
CREATE TABLE sequence_metadata (
    owner  TEXT NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path   TEXT NOT NULL,
    number REAL,
    text   TEXT
) STRICT;

CREATE INDEX sequence_metadata_owner ON sequence_metadata (owner);
CREATE INDEX sequence_metadata_number ON sequence_metadata (path, number, owner);
CREATE INDEX sequence_metadata_text ON sequence_metadata (path, text, owner) WHERE text IS NOT NULL;

CREATE TABLE topic_metadata (
    owner  TEXT NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    path   TEXT NOT NULL,
    number REAL,
    text   TEXT
) STRICT;

CREATE INDEX topic_metadata_owner ON topic_metadata (owner);
CREATE INDEX topic_metadata_number ON topic_metadata (path, number, owner);
CREATE INDEX topic_metadata_text ON topic_metadata (path, text, owner) WHERE text IS NOT NULL;

-- What happened, newest last.
CREATE TABLE event (
    id       TEXT PRIMARY KEY,
    kind     TEXT NOT NULL,
    -- Names as they were then.
    sequence TEXT,
    topic    TEXT,
    at_ns    INTEGER NOT NULL,
    detail   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
