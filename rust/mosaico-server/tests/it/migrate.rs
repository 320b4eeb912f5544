//! Migration of a catalog that the first version wrote: responses stay the same, and recording continues.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::answers::assert_same;
use crate::common::*;
use crate::database;
use crate::rebuild::{Known, Step, answers, live, settings, settle};
use mosaico_admin::{CheckOptions, Maintenance};

/// Replaces the current catalog by one of the first version with the same rows.
async fn make_old(folder: &Path) {
    let create = |database: &str| {
        let name = format!("migrations/{database}/0001_init.sql");
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../mosaico-catalog").join(name))
            .unwrap()
    };
    if database::url().is_some() {
        let schema = database::schema(folder);
        let rows = include_str!("old/postgres.sql").replace("now.", &format!("{schema}_now."));
        let text = format!(
            "ALTER SCHEMA {schema} RENAME TO {schema}_now; CREATE SCHEMA {schema}; {}; {rows}; \
             DROP SCHEMA {schema}_now CASCADE",
            create("postgres")
        );
        database::sql(folder, &text).await;
        return;
    }
    let file = folder.join("catalog.db");
    let today = folder.join("today.db");
    fs::rename(&file, &today).unwrap();
    fs::write(&file, "").unwrap();
    let rows = include_str!("old/sqlite.sql");
    let attach = format!("ATTACH '{}' AS now", today.display());
    database::sql(folder, &format!("{}; {attach}; {rows}", create("sqlite"))).await;
    fs::remove_file(today).unwrap();
}

#[test]
fn a_catalog_of_the_first_version_is_brought_up_to_date() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let mut known = Known::default();
    let steps = [
        Step::CreateSequence,
        Step::CreateTopic(0),
        Step::Put { topic: 0, rows: 50, finish: true },
        Step::CreateTopic(0),
        Step::Put { topic: 1, rows: 7, finish: true },
        Step::Finalize(0),
        Step::CreateSequence,
        Step::CreateTopic(1),
        Step::Put { topic: 2, rows: 20, finish: true },
        Step::CreateTopic(1),
        Step::Notify(0),
        Step::NotifyTopic(1),
        Step::Layer,
    ];
    let before = live(folder, false, async |client| {
        for step in &steps {
            known.make(client, step).await.unwrap();
        }
        settle(folder).await;
        answers(client, &known).await
    });
    let runtime = Runtime::new().unwrap();
    runtime.block_on(make_old(folder));

    live(folder, false, async |client| {
        assert_same(&answers(client, &known).await, &before);
        // The open sequence continues, and queries find a new sequence by its content.
        for step in [Step::Finalize(1), Step::CreateSequence, Step::CreateTopic(2)] {
            known.make(client, &step).await.unwrap();
        }
        known.make(client, &Step::Put { topic: 4, rows: 9, finish: true }).await.unwrap();
        known.make(client, &Step::Finalize(2)).await.unwrap();
        let (newest, _) = &known.sequences[2];
        let found = act(client, "query", json!({"sequence": {"user_metadata": {"number": {"$geq": 15}}}}));
        let found = found.await.unwrap().to_string();
        assert!(found.contains(newest.as_str()), "{found}");
        settle(folder).await;
    });
    let checked = runtime.block_on(async {
        let store = Maintenance::open(settings(folder)).await.unwrap();
        store.check(CheckOptions { deep: true, ..CheckOptions::default() }, &|_| ()).await.unwrap()
    });
    assert_eq!(checked.problems, []);
}
