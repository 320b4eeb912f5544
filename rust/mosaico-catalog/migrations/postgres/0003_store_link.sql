-- The store whose catalog this is, and the id that the store has of this catalog. At most one row.
CREATE TABLE store_link (
    store   TEXT COLLATE "C" NOT NULL,
    catalog TEXT COLLATE "C" NOT NULL
);
