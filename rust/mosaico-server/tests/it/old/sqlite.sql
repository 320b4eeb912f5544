-- The rows of a catalogue as the first version had them; `now` is the catalogue of today.

INSERT INTO sequence (id, name, key, user_metadata, created_ns, finalized_ns, deleting)
SELECT id, name, key, user_metadata, created_ns, finalized_ns, deleting FROM now.sequence;

INSERT INTO topic (id, sequence_id, path, ontology_tag, serialization_format, user_metadata, key, created_ns,
                   committed_ns, deleting, schema, chunks, row_count, stored_bytes, data_bytes, ts_min, ts_max)
SELECT t.id, sequence_id, path, ontology_tag, serialization_format, user_metadata, key, created_ns,
       committed_ns, deleting, x.ipc, chunks, row_count, stored_bytes, data_bytes, ts_min, ts_max
FROM now.topic t LEFT JOIN now.schema_snapshot x ON x.id = t.schema_id;

INSERT INTO chunk (topic_id, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32)
SELECT topic_id, idx, row_start, row_count, bytes, data_bytes, ts_min, ts_max, crc32 FROM now.chunk;

INSERT INTO chunk_column (topic_id, idx, path, kind, nulls, has_nan, lo, hi)
SELECT topic_id, idx, path, kind, nulls, has_nan, lo, hi FROM now.chunk_column;

INSERT INTO notification (id, sequence_id, topic_id, notify_type, msg, created_ns)
SELECT id, sequence_id, topic_id, notify_type, msg, created_ns FROM now.notification;

PRAGMA user_version = 1;
