-- The record that the change writes, if it is written once: who reconciles the change decides whether it exists.
ALTER TABLE pending ADD COLUMN record TEXT COLLATE "C";
