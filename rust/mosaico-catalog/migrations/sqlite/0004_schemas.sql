-- Topics of one kind share their schema; without it, rows of topics are small and quickly read.

CREATE TABLE schema_snapshot (
    id  INTEGER PRIMARY KEY,
    -- IPC schema message.
    ipc BLOB NOT NULL UNIQUE
) STRICT;

-- Set by the first put.
ALTER TABLE topic ADD COLUMN schema_id INTEGER REFERENCES schema_snapshot (id);
INSERT INTO schema_snapshot (ipc) SELECT DISTINCT schema FROM topic WHERE schema IS NOT NULL;
UPDATE topic SET schema_id = (SELECT x.id FROM schema_snapshot x WHERE x.ipc = topic.schema);
ALTER TABLE topic DROP COLUMN schema;
