-- The catalog: an index over the store's records that can be rebuilt from them at any time. Texts compare by
-- their bytes, as in SQLite.

-- Has a row until the catalog has all that the store has.
CREATE TABLE filling (since TIMESTAMPTZ NOT NULL DEFAULT now());
INSERT INTO filling DEFAULT VALUES;

CREATE TABLE sequence (
    id            TEXT COLLATE "C" PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL UNIQUE,
    key           TEXT COLLATE "C" NOT NULL,
    user_metadata TEXT NOT NULL,
    created_ns    BIGINT NOT NULL,
    finalized_ns  BIGINT,
    deleting      BIGINT NOT NULL DEFAULT 0,
    -- What becomes of it if its writer is gone, and when that was done.
    on_error      TEXT NOT NULL DEFAULT 'report',
    ended_ns      BIGINT,
    -- The last heartbeat of the writer, at any daemon.
    heard_at      TIMESTAMPTZ
);

-- Topics of one kind share their schema; without it, rows of topics are small and quickly read.
CREATE TABLE schema_snapshot (
    id  BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- IPC schema message.
    ipc BYTEA NOT NULL
);

-- Schemas are longer than what an index holds.
CREATE UNIQUE INDEX schema_snapshot_once ON schema_snapshot (md5(ipc));
CREATE INDEX schema_snapshot_ipc ON schema_snapshot USING hash (ipc);

CREATE TABLE topic (
    id                   TEXT COLLATE "C" PRIMARY KEY,
    sequence_id          TEXT COLLATE "C" NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path                 TEXT COLLATE "C" NOT NULL,
    ontology_tag         TEXT COLLATE "C" NOT NULL,
    serialization_format TEXT NOT NULL,
    user_metadata        TEXT NOT NULL,
    key                  TEXT COLLATE "C" NOT NULL,
    created_ns           BIGINT NOT NULL,
    committed_ns         BIGINT,
    deleting             BIGINT NOT NULL DEFAULT 0,
    -- Set by the first put.
    schema_id            BIGINT REFERENCES schema_snapshot (id),
    -- Sums over the topic's chunks, so that infos need no aggregation.
    chunks               BIGINT NOT NULL DEFAULT 0,
    row_count            BIGINT NOT NULL DEFAULT 0,
    stored_bytes         BIGINT NOT NULL DEFAULT 0,
    data_bytes           BIGINT NOT NULL DEFAULT 0,
    ts_min               BIGINT,
    ts_max               BIGINT,
    -- How often the topic's writer resumed after its connection broke.
    resumed              BIGINT NOT NULL DEFAULT 0,
    -- Damaged segments of the topic's write-ahead log, as a JSON array; NULL: none.
    damage               TEXT,
    -- Columns whose bounds are known of every chunk; 0 while rows may still come.
    bounded              BIGINT NOT NULL DEFAULT 0,
    UNIQUE (sequence_id, path)
);

CREATE INDEX topic_tag ON topic (ontology_tag, sequence_id);
CREATE INDEX topic_kind ON topic (ontology_tag, schema_id, bounded, sequence_id);
CREATE INDEX topic_path ON topic (path, sequence_id);

-- A chunk is known by its writer epoch and its number in that.
CREATE TABLE chunk (
    topic_id   TEXT COLLATE "C" NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    epoch      BIGINT NOT NULL,
    idx        BIGINT NOT NULL,
    row_start  BIGINT NOT NULL,
    row_count  BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    data_bytes BIGINT NOT NULL,
    ts_min     BIGINT NOT NULL,
    ts_max     BIGINT NOT NULL,
    crc32      BIGINT NOT NULL,
    PRIMARY KEY (topic_id, epoch, idx)
);

-- Exact bounds of leaf columns. `path` is a JSON array of names, `lo` and `hi` read back exactly.
CREATE TABLE chunk_column (
    topic_id TEXT COLLATE "C" NOT NULL,
    epoch    BIGINT NOT NULL,
    idx      BIGINT NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    kind     TEXT NOT NULL,
    nulls    BIGINT NOT NULL,
    has_nan  BIGINT NOT NULL,
    lo       TEXT COLLATE "C",
    hi       TEXT COLLATE "C",
    -- Bounds as numbers, rounded where the texts are exact.
    low      DOUBLE PRECISION,
    high     DOUBLE PRECISION,
    PRIMARY KEY (topic_id, epoch, idx, path),
    FOREIGN KEY (topic_id, epoch, idx) REFERENCES chunk (topic_id, epoch, idx) ON DELETE CASCADE
);

CREATE INDEX chunk_column_number ON chunk_column (path, low, high) WHERE low IS NOT NULL;
CREATE INDEX chunk_column_text ON chunk_column (path, lo) WHERE kind = 'text';

CREATE TABLE notification (
    id          TEXT COLLATE "C" PRIMARY KEY,
    sequence_id TEXT COLLATE "C" NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    topic_id    TEXT COLLATE "C" REFERENCES topic (id) ON DELETE CASCADE,
    notify_type TEXT NOT NULL,
    msg         TEXT NOT NULL,
    created_ns  BIGINT NOT NULL
);

CREATE INDEX notification_sequence ON notification (sequence_id);
CREATE INDEX notification_topic ON notification (topic_id);

-- Changes that were begun in the store and not yet taken over here. What is left at start is redone from the
-- records of the sequence.
CREATE TABLE pending (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sequence_id TEXT COLLATE "C" NOT NULL,
    -- Who announced the change, of several daemons.
    daemon      TEXT COLLATE "C"
);

CREATE INDEX pending_sequence ON pending (sequence_id);

-- The members of user metadata by dotted path, without what lies in arrays. Queries find candidates here and look at
-- the metadata itself for the exact answer, so that texts may be shortened.
CREATE TABLE sequence_metadata (
    owner  TEXT COLLATE "C" NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path   TEXT COLLATE "C" NOT NULL,
    number DOUBLE PRECISION,
    text   TEXT COLLATE "C"
);

CREATE INDEX sequence_metadata_owner ON sequence_metadata (owner);
CREATE INDEX sequence_metadata_number ON sequence_metadata (path, number, owner);
CREATE INDEX sequence_metadata_text ON sequence_metadata (path, text, owner) WHERE text IS NOT NULL;

CREATE TABLE topic_metadata (
    owner  TEXT COLLATE "C" NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    path   TEXT COLLATE "C" NOT NULL,
    number DOUBLE PRECISION,
    text   TEXT COLLATE "C"
);

CREATE INDEX topic_metadata_owner ON topic_metadata (owner);
CREATE INDEX topic_metadata_number ON topic_metadata (path, number, owner);
CREATE INDEX topic_metadata_text ON topic_metadata (path, text, owner) WHERE text IS NOT NULL;

-- What happened, newest last; the files below events/ hold all but the newest.
CREATE TABLE event (
    id       TEXT COLLATE "C" PRIMARY KEY,
    kind     TEXT NOT NULL,
    -- Names as they were then.
    sequence TEXT COLLATE "C",
    topic    TEXT COLLATE "C",
    at_ns    BIGINT NOT NULL,
    detail   TEXT NOT NULL
);

-- Of several daemons over one store: those that run, or ran and may still have rows in their log.
CREATE TABLE daemon (
    id      TEXT COLLATE "C" PRIMARY KEY,
    address TEXT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL
);

-- Work that one of them does for all.
CREATE TABLE lease (
    name   TEXT COLLATE "C" PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    until  TIMESTAMPTZ NOT NULL
);

-- Which daemon received which rows of a topic.
CREATE TABLE writer_epoch (
    topic_id     TEXT COLLATE "C" NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    epoch        BIGINT NOT NULL,
    daemon       TEXT COLLATE "C" NOT NULL,
    row_start    BIGINT NOT NULL,
    -- The row at which the writer resumed; those from row_start on come from the logs of earlier epochs.
    resumed_at   BIGINT,
    -- 1: what the daemon acknowledged is in the store.
    wal_in_store BIGINT NOT NULL DEFAULT 0,
    -- Set when the upload has ended: the rows of the topic.
    row_end      BIGINT,
    -- Counts the puts of the daemon; 0 once all of its rows are in chunks.
    busy         BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (topic_id, epoch)
);

CREATE INDEX writer_epoch_busy ON writer_epoch (daemon) WHERE busy > 0;
