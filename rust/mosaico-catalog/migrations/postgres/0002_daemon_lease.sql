-- Identifies the lease of the daemon. Another daemon that revokes the lease changes it.
ALTER TABLE daemon ADD COLUMN lease TEXT COLLATE "C" NOT NULL DEFAULT '';
