//! Files in a store that are not, or not any more, of this store: catalogs of all kinds, and symbolic links.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::Server;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::common::*;
use crate::database;
use crate::logging::{logged, take};
use crate::rebuild::{live, settings, settle};

/// A store with a sequence `run`, whose rows are in chunks.
fn store() -> TempDir {
    let folder = TempDir::new().unwrap();
    live(folder.path(), false, async |client| {
        let key = create_sequence(client, "run").await;
        let topic = create_topic(client, "run/t", &key).await;
        put(client, "run/t", &topic, &[rows(&[1, 2, 3], 1)]).await.unwrap();
        settle(folder.path()).await;
    });
    folder
}

fn catalog(folder: &Path) -> PathBuf {
    folder.join("catalog.db")
}

/// All the files of the catalog, as one value.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("catalog.db"));
    found.sort();
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn sql(folder: &Path, text: &str) {
    Runtime::new().unwrap().block_on(database::sql(folder, text));
}

/// Replaces the catalog by a database of another application.
fn be_foreign(folder: &Path, sql_text: &str) {
    database::remove(folder);
    fs::write(catalog(folder), "").unwrap();
    sql(folder, sql_text);
}

#[test]
fn a_catalog_that_does_not_fit_is_rebuilt() {
    let other = TempDir::new().unwrap();
    live(other.path(), false, async |client| {
        create_sequence(client, "of-another-store").await;
    });
    type Change<'a> = &'a dyn Fn(&Path);
    let changes: [(&str, Change<'_>); 6] = [
        ("of another store", &|folder| {
            database::remove(folder);
            database::back_up(other.path(), folder);
        }),
        ("of an older version", &|folder| sql(folder, "PRAGMA application_id = 0")),
        ("does not name its store", &|folder| sql(folder, "DELETE FROM store_link")),
        ("is damaged", &|folder| {
            let mut bytes = fs::read(catalog(folder)).unwrap();
            let end = bytes.len();
            bytes[4096..end].fill(0xa5);
            fs::write(catalog(folder), bytes).unwrap();
        }),
        ("is no database", &|folder| fs::write(catalog(folder), "notes of a user\n".repeat(1000)).unwrap()),
        ("is no database", &|folder| fs::write(catalog(folder), vec![0; 9000]).unwrap()),
    ];
    for (words, change) in changes {
        let folder = store();
        let folder = folder.path();
        change(folder);
        let before = fs::read(catalog(folder)).unwrap();
        let runtime = Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let store = Maintenance::look(settings(folder)).await.unwrap();
            store.check(CheckOptions { deep: false, repair: false }, &|_| ()).await.unwrap()
        });
        assert!(found.problems.iter().any(|problem| problem.text.contains(words)), "{words}: {found:?}");
        logged(async {
            let server = TestServer::start(settings(folder)).await;
            assert_eq!(names(&server.client).await, ["run"], "{words}");
            assert_eq!(get(&server.client, "run/t").await, [(1, 1), (2, 2), (3, 3)]);
            server.stop().await;
            let lines = take("rebuilt from the store");
            assert!(lines.len() == 1 && lines[0].contains(words), "{words}: {lines:?}");
            // The second start uses it.
            TestServer::start(settings(folder)).await.stop().await;
            assert_eq!(take("rebuilt from the store").len(), 0);
        });
        // A file that was not certainly ours is kept.
        let kept = folder.join("damaged/catalog.db.1");
        let is_kept = words.contains("damaged") || words.contains("no database");
        assert_eq!(kept.exists(), is_kept, "{words}");
        assert!(!is_kept || fs::read(kept).unwrap() == before, "{words}");
    }
}

#[test]
fn a_database_of_another_application_is_left_as_it_is() {
    for foreign in [
        "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('precious')",
        "PRAGMA journal_mode = WAL; PRAGMA application_id = 77; CREATE TABLE sequence (id TEXT); \
         CREATE TABLE topic (id TEXT); CREATE TABLE chunk (id TEXT); CREATE TABLE pending (id TEXT)",
    ] {
        let folder = store();
        let folder = folder.path();
        be_foreign(folder, foreign);
        let before = content(folder);
        let runtime = Runtime::new().unwrap();
        let refused = runtime.block_on(Server::open(settings(folder))).unwrap_err().to_string();
        for words in ["catalog.db", "another application", "left as it is", "move it"] {
            assert!(refused.contains(words), "{refused}");
        }
        runtime.block_on(async {
            let store = Maintenance::open(settings(folder)).await.unwrap();
            let error = store.rebuild(&|_| ()).await.unwrap_err();
            assert!(error.to_string().contains("left as it is"), "{error}");
            let options = CheckOptions { deep: false, repair: true };
            let found = store.check(options, &|_| ()).await.unwrap();
            assert!(found.problems[0].text.contains("another application"), "{found:?}");
            assert!(found.problems.iter().all(|problem| !problem.repaired), "{found:?}");
            store.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
        });
        assert!(content(folder) == before, "it was changed, or got files beside it");
        fs::remove_file(catalog(folder)).unwrap();
        live(folder, false, async |client| assert_eq!(names(client).await, ["run"]));
    }
}

#[test]
fn a_store_keeps_its_identity() {
    let folder = store();
    let record = || fs::read(folder.path().join("store.json")).unwrap();
    let before = record();
    live(folder.path(), false, async |client| drop(names(client).await));
    assert_eq!(record(), before);
    assert_ne!(fs::read(store().path().join("store.json")).unwrap(), before);
    // Without it the store gets a new one, and the catalog is rebuilt.
    fs::remove_file(folder.path().join("store.json")).unwrap();
    live(folder.path(), false, async |client| assert_eq!(names(client).await, ["run"]));
    assert_ne!(record(), before);
    let mut damaged = record();
    let before = damaged.clone();
    damaged[30] ^= 1;
    fs::write(folder.path().join("store.json"), damaged).unwrap();
    let runtime = Runtime::new().unwrap();
    let error = runtime.block_on(Server::open(settings(folder.path()))).unwrap_err();
    assert!(error.to_string().contains("check --repair"), "{error}");
    runtime.block_on(async {
        let store = Maintenance::open(settings(folder.path())).await.unwrap();
        let found = store.check(CheckOptions { deep: false, repair: true }, &|_| ()).await.unwrap();
        assert!(found.problems[0].path == "store.json" && found.problems[0].repaired, "{found:?}");
    });
    assert_eq!(record(), before, "the catalog has it too");
    live(folder.path(), false, async |client| assert_eq!(names(client).await, ["run"]));
}

/// A file outside of the store.
struct Outside(TempDir);

impl Outside {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("chunk-00000-0000009.parquet"), "precious").unwrap();
        fs::write(folder.path().join("deleted.json"), "{}").unwrap();
        Self(folder)
    }

    fn is_intact(&self) -> bool {
        ["chunk-00000-0000009.parquet", "deleted.json"].iter().all(|name| self.0.path().join(name).exists())
    }
}

#[test]
fn links_are_reported_and_nobody_follows_them() {
    let (folder, outside) = (store(), Outside::new());
    let folder = folder.path();
    let commit = files(folder).into_iter().find(|file| file.ends_with("commit.json")).unwrap();
    let topic = Path::new(&commit).parent().unwrap();
    let links = [
        topic.join("chunk-00000-0000009.parquet"),
        topic.join("wal"),
        topic.parent().unwrap().join("01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        PathBuf::from("seq/01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ];
    symlink(outside.0.path().join("chunk-00000-0000009.parquet"), folder.join(&links[0])).unwrap();
    for link in &links[1..] {
        symlink(outside.0.path(), folder.join(link)).unwrap();
    }
    let mut expected: Vec<String> = links.iter().map(|link| link.display().to_string()).collect();
    expected.sort();
    let reported = |problems: &[mosaico_admin::Problem]| {
        let links = problems.iter().filter(|problem| problem.text.contains("symbolic link"));
        let mut links: Vec<String> = links.map(|problem| problem.path.clone()).collect();
        links.sort();
        links
    };
    Runtime::new().unwrap().block_on(async {
        let open = async || Maintenance::open(settings(folder)).await.unwrap();
        let gc = open().await.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
        assert_eq!((gc.files, reported(&gc.problems)), (0, expected.clone()));
        let rebuilt = open().await.rebuild(&|_| ()).await.unwrap();
        assert_eq!((rebuilt.sequences, reported(&rebuilt.problems)), (1, expected.clone()));
        let stats = open().await.stats(&|_| ()).await.unwrap();
        assert_eq!((stats.chunks, reported(&stats.problems)), (1, expected.clone()));
        let checked = open().await.check(CheckOptions { deep: true, repair: true }, &|_| ()).await.unwrap();
        assert_eq!(reported(&checked.problems), expected);
    });
    assert!(outside.is_intact());
    live(folder, false, async |client| {
        assert_eq!(get(client, "run/t").await, [(1, 1), (2, 2), (3, 3)]);
        act(client, "sequence_delete", json!({"name": "run"})).await.unwrap();
        eventually("it is deleted", async || !folder.join(topic).exists()).await;
    });
    assert!(outside.is_intact());
    assert!(folder.join(&links[3]).is_symlink(), "it belongs to no sequence of this store");
}

#[test]
fn a_store_whose_folders_are_links_is_refused() {
    let (folder, outside) = (store(), TempDir::new().unwrap());
    let moved = outside.path().join("seq");
    fs::rename(folder.path().join("seq"), &moved).unwrap();
    symlink(&moved, folder.path().join("seq")).unwrap();
    let error = Runtime::new().unwrap().block_on(Server::open(settings(folder.path()))).unwrap_err();
    assert!(error.to_string().contains("seq is a symbolic link"), "{error}");
}
