-- The log in the store.

-- The row at which the writer went on; those from row_start on come from the log of earlier parts.
ALTER TABLE part ADD COLUMN went_on_at BIGINT;
-- 1: what the daemon acknowledged is in the store.
ALTER TABLE part ADD COLUMN log_in_store BIGINT NOT NULL DEFAULT 0;
