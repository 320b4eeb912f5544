-- What queries search by.

DROP INDEX topic_tag;
CREATE INDEX topic_tag ON topic (ontology_tag, sequence_id);
CREATE INDEX topic_path ON topic (path, sequence_id);

-- The members of user metadata by dotted path, without what lies in arrays. Queries find candidates here and look at
-- the metadata itself for the exact answer, so that texts may be shortened.
CREATE TABLE sequence_metadata (
    owner TEXT NOT NULL REFERENCES sequence (id) ON DELETE CASCADE,
    path  TEXT NOT NULL,
    value ANY
) STRICT;

CREATE INDEX sequence_metadata_owner ON sequence_metadata (owner);
CREATE INDEX sequence_metadata_value ON sequence_metadata (path, value, owner);

CREATE TABLE topic_metadata (
    owner TEXT NOT NULL REFERENCES topic (id) ON DELETE CASCADE,
    path  TEXT NOT NULL,
    value ANY
) STRICT;

CREATE INDEX topic_metadata_owner ON topic_metadata (owner);
CREATE INDEX topic_metadata_value ON topic_metadata (path, value, owner);

CREATE TRIGGER sequence_metadata_added AFTER INSERT ON sequence BEGIN
    INSERT INTO sequence_metadata (owner, path, value)
    SELECT NEW.id, replace(substr(j.fullkey, 3), '"', ''),
           CASE typeof(j.atom) WHEN 'text' THEN substr(j.atom, 1, 200) ELSE j.atom END
    FROM json_tree(NEW.user_metadata) j WHERE j.key IS NOT NULL AND instr(j.fullkey, '[') = 0;
END;

CREATE TRIGGER topic_metadata_added AFTER INSERT ON topic BEGIN
    INSERT INTO topic_metadata (owner, path, value)
    SELECT NEW.id, replace(substr(j.fullkey, 3), '"', ''),
           CASE typeof(j.atom) WHEN 'text' THEN substr(j.atom, 1, 200) ELSE j.atom END
    FROM json_tree(NEW.user_metadata) j WHERE j.key IS NOT NULL AND instr(j.fullkey, '[') = 0;
END;

INSERT INTO sequence_metadata (owner, path, value)
SELECT s.id, replace(substr(j.fullkey, 3), '"', ''),
       CASE typeof(j.atom) WHEN 'text' THEN substr(j.atom, 1, 200) ELSE j.atom END
FROM sequence s, json_tree(s.user_metadata) j WHERE j.key IS NOT NULL AND instr(j.fullkey, '[') = 0;

INSERT INTO topic_metadata (owner, path, value)
SELECT t.id, replace(substr(j.fullkey, 3), '"', ''),
       CASE typeof(j.atom) WHEN 'text' THEN substr(j.atom, 1, 200) ELSE j.atom END
FROM topic t, json_tree(t.user_metadata) j WHERE j.key IS NOT NULL AND instr(j.fullkey, '[') = 0;
