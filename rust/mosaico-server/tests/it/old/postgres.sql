-- The rows of a catalog as the first version had them; the schema `now` is the catalog of today.

INSERT INTO sequence (id, name, key, user_metadata, created_ns, finalized_ns, deleting, on_error, ended_ns)
SELECT id, name, key, user_metadata, created_ns, finalized_ns, deleting, on_error, ended_ns FROM now.sequence;

INSERT INTO schema_snapshot (id, ipc) OVERRIDING SYSTEM VALUE SELECT id, ipc FROM now.schema_snapshot;
SELECT setval(pg_get_serial_sequence('schema_snapshot', 'id'), (SELECT max(id) FROM schema_snapshot));

INSERT INTO topic (id, sequence_id, path, ontology_tag, serialization_format, user_metadata, key, created_ns,
                   committed_ns, deleting, schema_id, chunks, row_count, stored_bytes, data_bytes, ts_min, ts_max,
                   resumed, damage, bounded)
SELECT id, sequence_id, path, ontology_tag, serialization_format, user_metadata, key, created_ns,
       committed_ns, deleting, schema_id, chunks, row_count, stored_bytes, data_bytes, ts_min, ts_max,
       resumed, damage, bounded FROM now.topic;

INSERT INTO chunk (topic_id, epoch, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32)
SELECT topic_id, epoch, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32 FROM now.chunk;

INSERT INTO chunk_column (topic_id, epoch, idx, path, kind, nulls, has_nan, lo, hi, low, high)
SELECT topic_id, epoch, idx, path, kind, nulls, has_nan, lo, hi, low, high FROM now.chunk_column;

INSERT INTO notification (id, sequence_id, topic_id, notify_type, msg, created_ns)
SELECT id, sequence_id, topic_id, notify_type, msg, created_ns FROM now.notification;

INSERT INTO sequence_metadata (owner, path, number, text) SELECT owner, path, number, text FROM now.sequence_metadata;
INSERT INTO topic_metadata (owner, path, number, text) SELECT owner, path, number, text FROM now.topic_metadata;

INSERT INTO event (id, kind, sequence, topic, at_ns, detail)
SELECT id, kind, sequence, topic, at_ns, detail FROM now.event;

DELETE FROM filling;
CREATE TABLE version (applied BIGINT NOT NULL);
INSERT INTO version (applied) VALUES (1);
