-- How often the topic's writer went on after its connection broke.
ALTER TABLE topic ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0;
