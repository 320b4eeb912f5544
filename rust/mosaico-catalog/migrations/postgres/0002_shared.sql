-- Several daemons over one store.

-- Those that run, or ran and may still have rows in their log.
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
CREATE TABLE part (
    topic_id  TEXT COLLATE "C" NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    number    BIGINT NOT NULL,
    daemon    TEXT COLLATE "C" NOT NULL,
    row_start BIGINT NOT NULL,
    -- Set when the upload has ended: the rows of the topic.
    row_end   BIGINT,
    -- Counts the puts of the daemon; 0 once all of its rows are in chunks.
    busy      BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (topic_id, number)
);

CREATE INDEX part_busy ON part (daemon) WHERE busy > 0;

-- Who announced the change.
ALTER TABLE pending ADD COLUMN daemon TEXT COLLATE "C";
CREATE INDEX pending_sequence ON pending (sequence_id);

-- The last sign of life of the writer, told by any daemon.
ALTER TABLE sequence ADD COLUMN heard_at TIMESTAMPTZ;
