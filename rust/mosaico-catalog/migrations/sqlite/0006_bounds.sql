-- Bounds as numbers, so that chunks whose values overlap a range are found by an index. They are rounded where `lo` and
-- `hi` are exact.
ALTER TABLE chunk_column ADD COLUMN low REAL;
ALTER TABLE chunk_column ADD COLUMN high REAL;
UPDATE chunk_column SET
    low = CASE lo WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999
                  ELSE CAST(lo AS REAL) END,
    high = CASE hi WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN 'inf' THEN 9e999 WHEN '-inf' THEN -9e999
                   ELSE CAST(hi AS REAL) END
WHERE kind <> 'text';
CREATE INDEX chunk_column_number ON chunk_column (path, low, high) WHERE low IS NOT NULL;
CREATE INDEX chunk_column_text ON chunk_column (path, lo, hi) WHERE kind = 'text';

-- Columns whose bounds are known of every chunk; 0 while rows may still come.
ALTER TABLE topic ADD COLUMN bounded INTEGER NOT NULL DEFAULT 0;
UPDATE topic SET bounded = (
    SELECT ifnull(min(n), 0) FROM (
        SELECT count(x.path) AS n FROM chunk c
        LEFT JOIN chunk_column x ON x.topic_id = c.topic_id AND x.idx = c.idx
        WHERE c.topic_id = topic.id GROUP BY c.idx
    )
) WHERE committed_ns IS NOT NULL;

CREATE INDEX topic_kind ON topic (ontology_tag, schema_id, bounded, sequence_id);
