use mosaico_types::{ErrorKind, SequenceName};
use mosaico_wire::event::OnError;

use super::*;
use crate::sql::Connections;
use crate::sql::query;
use mosaico_storage::format::records::SequenceRecord;
use mosaico_storage::format::state::SequenceState;
use mosaico_types::id::SequenceId;

#[test]
fn the_versions_are_those_of_the_docs() {
    let docs = include_str!("../../../../docs/formats.md");
    for row in [
        format!("| catalog, SQLite | `{FILE}` | {} | `PRAGMA user_version` |", SQLITE.len()),
        format!("| catalog, Postgres | schema of the database | {} | table `version` |", POSTGRES.len()),
    ] {
        assert!(docs.contains(&row), "{row}");
    }
}

#[tokio::test]
async fn an_interrupted_bulk_load_is_recreated() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::File(folder.path().join(FILE));
    let known = async |catalog: &Catalog| catalog.pending().await.expect("an answer").len();
    let (catalog, is_new) = database.open(&OwnStore::Unknown).await.expect("a catalog");
    assert!(is_new);
    let id = SequenceId::generate();
    let state = SequenceState {
        record: SequenceRecord {
            id,
            name: SequenceName::parse("run").expect("a name"),
            key: "k".into(),
            user_metadata: serde_json::json!({}),
            created_ns: 1,
            on_error: OnError::default(),
            owner_epoch: 0,
            moved_from: None,
        },
        finalized_ns: None,
        ended_ns: None,
        topics: Vec::new(),
        notifications: Vec::new(),
    };
    catalog.restore_sequences(&[state]).await.expect("room");
    drop(catalog.begin(id, None).await.expect("a change"));
    catalog.close().await;
    assert!(database.open_filled(&OwnStore::Unknown).await.expect("an answer").is_none());
    let catalog = database.open_to_fill(&OwnStore::Unknown).await.expect("a catalog");
    assert_eq!(known(&catalog).await, 1, "the bulk load resumes");
    catalog.close().await;
    let (catalog, is_new) = database.open(&OwnStore::Unknown).await.expect("a catalog");
    assert!(is_new && known(&catalog).await == 0);
    catalog.filled().await.expect("a mark");
    drop(catalog.begin(id, None).await.expect("a change"));
    catalog.close().await;
    let (catalog, is_new) = database.open(&OwnStore::Unknown).await.expect("a catalog");
    assert!(!is_new && known(&catalog).await == 1);
    catalog.close().await;
    let catalog = database.open_to_fill(&OwnStore::Unknown).await.expect("a catalog");
    assert_eq!(known(&catalog).await, 0, "a catalog that was loaded is rebuilt");
    catalog.close().await;
}

#[tokio::test]
async fn a_disk_that_refuses_writes_is_unavailable() {
    let folder = tempfile::tempdir().expect("a folder");
    let (catalog, _) =
        Database::File(folder.path().join(FILE)).open(&OwnStore::Unknown).await.expect("a catalog");
    let refused = query("INSERT INTO pending (sequence_id) VALUES ('x')").execute(&catalog.readers).await;
    let error = failed(refused.expect_err("it is read-only"));
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_full_disk_is_recognised_and_passes() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::File(folder.path().join(FILE));
    let (catalog, _) = database.open(&OwnStore::Unknown).await.expect("a catalog");
    let pages = |count: u32| sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {count}"));
    let Connections::Sqlite(writer) = &catalog.writer.connections else { unreachable!("a file is SQLite") };
    sqlx::raw_sql(pages(1)).execute(writer).await.expect("a limit");
    let error = loop {
        let mut transaction = catalog.transaction().await.expect("a transaction");
        let filler = query("INSERT INTO pending (sequence_id) VALUES (hex(zeroblob(10000)))");
        if let Err(error) = filler.execute(&mut transaction).await {
            break failed(error);
        }
        transaction.commit().await.expect("room");
    };
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error}");
    sqlx::raw_sql(pages(1_000_000)).execute(writer).await.expect("no limit");
    catalog.transaction().await.expect("a transaction after the failed one");
    assert!(catalog.begin(SequenceId::generate(), None).await.is_ok());
}
