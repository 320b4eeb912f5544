//! Bulk load of a catalog that does not have all contents of the store yet. A mark in the database identifies
//! it. The load drops the indices that only readers need, and creates them for all rows at once at the end.

use mosaico_storage::error::Result;

use crate::catalog::Catalog;
use crate::database_error::failed;
use crate::recognize::{COMPLETE, FILLING};
use crate::sql::{Transaction, query};

/// Tables without indices during the bulk load, except for unique indices.
const TABLES: &str = r#"["topic", "chunk_column", "notification", "sequence_metadata", "topic_metadata"]"#;

/// SQL that drops indices and saves their definitions for later.
const PUT_OFF: &str = "CREATE TABLE IF NOT EXISTS put_off (statement TEXT NOT NULL)";

/// SQLite caches more and syncs rarely; a power failure destroys rows that the resumed bulk load writes
/// again.
const FAST: [&str; 2] = ["PRAGMA cache_size = -65536", "PRAGMA synchronous = NORMAL"];

/// Settings of connections at all other times.
const SAFE: [&str; 3] =
    ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA synchronous = FULL", "PRAGMA cache_size = -2000"];

impl Catalog {
    /// Begins the bulk load. Requires exclusive access to the catalog.
    pub async fn begin_filling(&self) -> Result<()> {
        let mut transaction = self.transaction().await?;
        put_off_indices(&mut transaction).await.map_err(failed)?;
        self.commit(transaction).await?;
        self.set(&FAST).await
    }

    /// Ends the bulk load: the catalog has all contents of the store.
    pub async fn filled(&self) -> Result<()> {
        let mut transaction = self.transaction().await?;
        make_indices(&mut transaction).await.map_err(failed)?;
        let mark = match transaction.is_postgres() {
            true => "DELETE FROM filling".to_owned(),
            false => format!("PRAGMA application_id = {COMPLETE}"),
        };
        query(mark).execute(&mut transaction).await.map_err(failed)?;
        self.commit(transaction).await?;
        self.set(&SAFE).await
    }

    /// Whether the bulk load is incomplete.
    pub async fn is_filling(&self) -> Result<bool> {
        let statement = if self.writer.is_postgres() {
            "SELECT ?::bigint FROM filling LIMIT 1"
        } else {
            "SELECT application_id FROM pragma_application_id WHERE application_id = ?"
        };
        let asked = query(statement).bind(i64::from(FILLING)).fetch_optional(&self.writer);
        asked.await.map(|row| row.is_some()).map_err(failed)
    }

    /// Applies SQLite settings on the one connection that writes.
    async fn set(&self, settings: &[&'static str]) -> Result<()> {
        for &setting in settings.iter().filter(|_| !self.writer.is_postgres()) {
            query(setting).execute(&self.writer).await.map_err(failed)?;
        }
        Ok(())
    }
}

async fn put_off_indices(db: &mut Transaction) -> Result<(), sqlx::Error> {
    db.without_limit().await?;
    query(PUT_OFF).execute(&mut *db).await?;
    let of_readers = if db.is_postgres() {
        "SELECT indexname AS name, indexdef AS statement FROM pg_indexes WHERE schemaname = current_schema() \
         AND indexdef LIKE 'CREATE INDEX %' AND tablename IN (SELECT value FROM json_each(?))"
    } else {
        "SELECT name, sql AS statement FROM sqlite_schema WHERE type = 'index' \
         AND sql LIKE 'CREATE INDEX %' AND tbl_name IN (SELECT value FROM json_each(?))"
    };
    for row in query(of_readers).bind(TABLES).fetch_all(&mut *db).await? {
        let (name, statement): (String, String) = (row.try_get("name")?, row.try_get("statement")?);
        query("INSERT INTO put_off (statement) VALUES (?)").bind(statement).execute(&mut *db).await?;
        query(format!("DROP INDEX {name}")).execute(&mut *db).await?;
    }
    Ok(())
}

async fn make_indices(db: &mut Transaction) -> Result<(), sqlx::Error> {
    db.without_limit().await?;
    query(PUT_OFF).execute(&mut *db).await?;
    for statement in query("SELECT statement FROM put_off").fetch_texts(&mut *db).await? {
        query(statement).execute(&mut *db).await?;
    }
    query("DROP TABLE put_off").execute(db).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::open::Database;
    use crate::open::FILE;
    use crate::recognize::OwnStore;

    #[tokio::test]
    async fn indices_are_put_off_and_come_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let (catalog, _) =
            Database::File(folder.path().join(FILE)).open(&OwnStore::Unknown).await.expect("a catalog");
        let indices = async || {
            let all = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
            query(all).fetch_texts(&catalog.writer).await.expect("an answer")
        };
        let all = indices().await;
        for _ in ["first", "after an interruption"] {
            catalog.begin_filling().await.expect("a change");
            assert_eq!(indices().await, [""; 0]);
        }
        catalog.filled().await.expect("a mark");
        assert_eq!(indices().await, all);
        assert!(!catalog.is_filling().await.expect("an answer"));
        let synced = query("PRAGMA synchronous").fetch_optional(&catalog.writer).await;
        let synced: Option<i64> = synced.expect("an answer").and_then(|row| row.try_get(0).ok());
        assert_eq!(synced, Some(2));
    }
}
