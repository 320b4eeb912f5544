-- Values of metadata by type, which every database compares alike; the program fills the tables.

DROP TRIGGER sequence_metadata_added;
DROP TRIGGER topic_metadata_added;
DROP INDEX sequence_metadata_value;
DROP INDEX topic_metadata_value;

ALTER TABLE sequence_metadata ADD COLUMN number REAL;
ALTER TABLE sequence_metadata ADD COLUMN text TEXT;
UPDATE sequence_metadata SET number = CASE WHEN typeof(value) IN ('integer', 'real') THEN value END,
                             text = CASE WHEN typeof(value) <> 'text' THEN NULL
                                         WHEN instr(value, char(0)) = 0 THEN value
                                         ELSE substr(value, 1, instr(value, char(0)) - 1) END;
ALTER TABLE sequence_metadata DROP COLUMN value;
CREATE INDEX sequence_metadata_number ON sequence_metadata (path, number, owner);
CREATE INDEX sequence_metadata_text ON sequence_metadata (path, text, owner) WHERE text IS NOT NULL;

ALTER TABLE topic_metadata ADD COLUMN number REAL;
ALTER TABLE topic_metadata ADD COLUMN text TEXT;
UPDATE topic_metadata SET number = CASE WHEN typeof(value) IN ('integer', 'real') THEN value END,
                          text = CASE WHEN typeof(value) <> 'text' THEN NULL
                                         WHEN instr(value, char(0)) = 0 THEN value
                                         ELSE substr(value, 1, instr(value, char(0)) - 1) END;
ALTER TABLE topic_metadata DROP COLUMN value;
CREATE INDEX topic_metadata_number ON topic_metadata (path, number, owner);
CREATE INDEX topic_metadata_text ON topic_metadata (path, text, owner) WHERE text IS NOT NULL;
