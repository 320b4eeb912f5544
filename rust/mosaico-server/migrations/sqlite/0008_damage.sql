-- Damaged segments of the topic's write-ahead log, as a JSON array; NULL: none.
ALTER TABLE topic ADD COLUMN damage TEXT;
