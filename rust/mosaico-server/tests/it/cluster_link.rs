//! A store and its catalog know each other: a catalog of another store is refused before anything is changed. These
//! tests always need a Postgres.

use std::path::Path;

use crate::cluster::{member, started};
use crate::common::*;
use crate::database;
use crate::replicated_wal::{bucket, with_server};
use mosaico_admin::Maintenance;
use mosaico_server::{Config, Server};
use tempfile::TempDir;
use tokio::runtime::Runtime;

fn id_of(folder: &Path, name: &str) -> String {
    let record = std::fs::read(folder.join("bucket/store.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    record[name].as_str().unwrap().to_owned()
}

fn refused(config: Config) -> String {
    Runtime::new().unwrap().block_on(async { Server::open(config).await.unwrap_err().to_string() })
}

#[test]
fn a_catalog_of_another_store_is_refused() {
    let Some((folder, faults)) = started() else { return };
    faults.lift();
    let right = |name| member(folder.path(), &faults, name);
    with_server(right("a"), async |client| drop(create_sequence(client, "run").await));
    let store = id_of(folder.path(), "id");

    let other = TempDir::new().unwrap();
    let wrong = Config {
        state: Some(other.path().join("x")),
        database_schema: database::schema(folder.path()),
        ..member(other.path(), &bucket(other.path()), "x")
    };
    let text = refused(wrong.clone());
    assert!(text.contains(&format!("the store {store}")) && text.contains("drop the schema"), "{text}");
    assert_eq!(files(&other.path().join("bucket")), [""; 0], "nothing is changed");
    let own = member(other.path(), &bucket(other.path()), "y");
    with_server(own, async |_| ());
    let text = refused(wrong.clone());
    assert!(text.contains(&store) && text.contains(&id_of(other.path(), "id")), "{text}");
    let text = Runtime::new().unwrap().block_on(async {
        Maintenance::open(wrong).await.err().map(|error| error.to_string()).unwrap_or_default()
    });
    assert!(text.contains(&database::schema(other.path())), "the bucket names its own schema: {text}");
    with_server(right("a"), async |client| {
        assert_eq!(names(client).await, ["run"]);
    });
}

#[test]
fn a_catalog_that_was_replaced_is_refused() {
    let Some((folder, faults)) = started() else { return };
    faults.lift();
    let config = || member(folder.path(), &faults, "a");
    let schema = database::schema(folder.path());
    let sql = |text: String| {
        let url = database::postgres().unwrap();
        database::block_on(async move { database::postgres_sql(&url, Path::new("/"), &text).await });
    };
    with_server(config(), async |client| drop(create_sequence(client, "run").await));
    let (store, old) = (id_of(folder.path(), "id"), id_of(folder.path(), "catalog"));
    sql(format!("ALTER SCHEMA {schema} RENAME TO {schema}_old"));
    with_server(config(), async |client| assert_eq!(names(client).await, ["run"]));
    let new = id_of(folder.path(), "catalog");
    assert!(new != old && id_of(folder.path(), "id") == store, "the store alone is enough");
    sql(format!("DROP SCHEMA {schema} CASCADE; ALTER SCHEMA {schema}_old RENAME TO {schema}"));
    let text = refused(config());
    assert!(text.contains(&old) && text.contains(&new), "{text}");
    sql(format!("DROP SCHEMA {schema} CASCADE"));
}
