//! Stores that a newer version of the program wrote to: refused as far as they are newer, and left as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mosaico_server::{CheckOptions, Checked, Maintenance, Server};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Code;

use crate::common::*;
use crate::database;
use crate::rebuild::{live, settings, settle};

/// Makes a record one of version 99, with fields that this version does not know and a checksum that is right.
fn make_newer(path: &Path) {
    let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    record["format_version"] = json!(99);
    record["meaning_of_rows"] = json!("encrypted");
    record["created_ns"] = json!(["of", "another", "shape"]);
    record.as_object_mut().unwrap().remove("record_crc32");
    let mut bytes = serde_json::to_vec(&record).unwrap();
    assert_eq!(bytes.pop(), Some(b'}'));
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(format!(r#","record_crc32":{sum}}}"#).as_bytes());
    fs::write(path, bytes).unwrap();
}

/// The file of this name in the folder of the first sequence, or in that of its only topic.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut found =
        files(folder).into_iter().filter(|file| file.ends_with(name) || file.contains(&format!("/{name}/")));
    folder.join(found.next().unwrap_or_else(|| panic!("no {name}: {:?}", files(folder))))
}

/// A finalized sequence `old` and, first, the sequence `new`, which is open or finalized too.
async fn record(client: &Client, is_open: bool) {
    for name in ["new", "old"] {
        let key = create_sequence(client, name).await;
        let topic = create_topic(client, &format!("{name}/t"), &key).await;
        let locator = format!("{name}/t");
        if is_open && name == "new" {
            let mut put = Put::open(client, &locator, &topic, rows(&[1], 1).schema()).await;
            let times: Vec<i64> = (0..60).collect();
            put.send(rows(&times, 1)).await;
            put.durable(60).await;
            // The end of the server cuts it short; some of it is in chunks by then.
            std::mem::forget(put);
            continue;
        }
        put(client, &locator, &topic, &[rows(&[1, 2, 3], 1)]).await.unwrap();
        act(client, "sequence_notify_create", json!({"name": name, "notify_type": "error", "msg": "m"}))
            .await
            .unwrap();
        act(client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    }
    act(client, "layer_create", json!({"name": "l", "description": "d"})).await.unwrap();
}

/// Every file of the store with its content.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let store = files(folder).into_iter().filter(|name| name.starts_with("seq/") || name == "layers.json");
    store.map(|name| (name.clone(), fs::read(folder.join(&name)).unwrap())).collect()
}

async fn check(folder: &Path, repair: bool) -> Checked {
    let store = Maintenance::open(settings(folder)).await.unwrap();
    store.check(CheckOptions { deep: true, repair }, &|_| ()).await.unwrap()
}

fn assert_says_it(text: &str) {
    for part in ["written by a newer version", "has format version 99", "up to 1", "upgrade mosaicod"] {
        assert!(text.contains(part), "{text}");
    }
}

/// `name` is a record of the first sequence; `is_read` tells whether a rebuild reads it.
fn newer_record(name: &str, is_open: bool, is_read: bool) {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    live(folder, false, async |client| {
        record(client, is_open).await;
        settle(folder).await;
    });
    let path = find(folder, name);
    make_newer(&path);
    let path = path.strip_prefix(folder).unwrap().display().to_string();
    let before = contents(folder);
    let runtime = Runtime::new().unwrap();
    let sequences: &[&str] = if is_read { &["old"] } else { &["new", "old"] };

    // Not damage, and nothing to repair.
    for repair in [false, true] {
        let found = runtime.block_on(check(folder, repair));
        assert_eq!((found.problems.as_slice(), found.lost_rows), (&[][..], 0), "{name}");
        assert_eq!(found.newer.len(), 1, "{name}: {:?}", found.newer);
        assert_eq!(found.newer[0].path, path);
        assert_says_it(&found.newer[0].text);
        assert_eq!(found.sequences, 1, "the other one is checked");
    }
    // A rebuild names it.
    database::remove(folder);
    let rebuilt = runtime.block_on(async {
        Maintenance::open(settings(folder)).await.unwrap().rebuild(&|_| ()).await.unwrap()
    });
    assert_eq!(rebuilt.sequences, sequences.len() as u64, "{name}");
    if is_read {
        let [problem] = rebuilt.problems.as_slice() else { panic!("{:?}", rebuilt.problems) };
        assert_says_it(&problem.text);
        assert!(problem.text.contains(&path), "{problem:?}");
    }
    // Garbage collection leaves it alone, however old it is.
    runtime.block_on(async {
        let store = Maintenance::open(settings(folder)).await.unwrap();
        let found = store.gc(Duration::ZERO, false, &|_| ()).await.unwrap();
        assert_eq!(found.files, 0, "{name}");
    });
    // A server serves the other sequence.
    live(folder, false, async |client| {
        assert_eq!(names(client).await, sequences);
        assert_eq!(get(client, "old/t").await, [(1, 1), (2, 2), (3, 3)]);
    });
    assert_eq!(contents(folder), before, "{name}");
}

#[test]
fn a_newer_record_refuses_its_sequence_alone() {
    for name in ["sequence.json", "final.json", "commit.json", "notify"] {
        newer_record(name, false, true);
    }
    for name in ["topic.json", "chunk-00000-0000000.json"] {
        newer_record(name, true, true);
    }
}

#[test]
fn a_newer_record_that_the_commit_record_repeats_is_named_by_check() {
    for name in ["topic.json", "chunk-00000-0000000.json"] {
        newer_record(name, false, false);
    }
}

#[test]
fn a_removal_that_a_newer_version_began_is_not_finished() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    live(folder, false, async |client| {
        record(client, false).await;
        settle(folder).await;
    });
    let tombstone = find(folder, "sequence.json").with_file_name("deleted.json");
    fs::write(&tombstone, r#"{"format_version":1,"deleted_ns":1}"#).unwrap();
    make_newer(&tombstone);
    let before = contents(folder);
    database::remove(folder);
    live(folder, false, async |client| assert_eq!(names(client).await, ["old"]));
    let found = Runtime::new().unwrap().block_on(async {
        Maintenance::open(settings(folder)).await.unwrap().gc(Duration::ZERO, false, &|_| ()).await.unwrap()
    });
    assert_eq!(found.files, 0);
    assert_says_it(&found.problems[0].text);
    assert_eq!(contents(folder), before);
}

#[test]
fn a_server_does_not_start_on_a_newer_store() {
    for name in ["layers.json", "events"] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        live(folder, false, async |client| record(client, false).await);
        let path = match name {
            "events" => fs::read_dir(folder.join("events")).unwrap().next().unwrap().unwrap().path(),
            name => folder.join(name),
        };
        make_newer(&path);
        let (record, before) = (fs::read(&path).unwrap(), contents(folder));
        let runtime = Runtime::new().unwrap();
        let error = runtime.block_on(Server::open(settings(folder))).unwrap_err();
        assert_says_it(&error.to_string());
        assert_eq!(error.code().as_str(), "newer_format");
        assert_eq!((fs::read(&path).unwrap(), contents(folder)), (record, before), "{name}");
        let found = runtime.block_on(check(folder, true));
        assert_eq!(found.problems, [], "{name}");
        assert_says_it(&found.newer[0].text);
    }
}

#[test]
fn a_newer_chunk_is_refused_when_it_is_opened() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    live(folder, false, async |client| {
        record(client, false).await;
        settle(folder).await;
    });
    // The version stands in the footer, as text; its length stays the same.
    let path = find(folder, "chunk-00000-0000000.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let key = b"mosaico:format_version";
    let at = bytes.windows(key.len()).position(|window| window == key).expect("the key") + key.len();
    let digit = at + bytes[at..].iter().position(|byte| *byte == b'1').unwrap();
    bytes[digit] = b'7';
    fs::write(&path, &bytes).unwrap();
    live(folder, false, async |client| {
        let error = get_window(client, "new/t", None, None).await.unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
        let text = error.message();
        assert!(text.contains("format version 7") && text.contains("chunk seq/"), "{text}");
        assert_eq!(get(client, "old/t").await, [(1, 1), (2, 2), (3, 3)]);
    });
    // Without it nobody knows what the file is.
    bytes[at - 1] = b'N';
    fs::write(&path, &bytes).unwrap();
    live(folder, false, async |client| {
        refused(get_window(client, "new/t", None, None).await, Code::Internal);
    });
}

#[test]
fn a_newer_catalogue_is_refused_and_can_be_rebuilt() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    live(folder, false, async |client| record(client, false).await);
    let is_shared = database::url().is_some();
    let newer = match is_shared {
        true => "INSERT INTO version (applied) VALUES (99)",
        false => "PRAGMA user_version = 99",
    };
    let runtime = Runtime::new().unwrap();
    runtime.block_on(database::sql(folder, newer));
    let error = runtime.block_on(Server::open(settings(folder))).unwrap_err();
    assert!(error.to_string().contains("the catalogue has format version 99"), "{error}");
    let found = runtime.block_on(check(folder, true));
    assert_eq!((found.problems.as_slice(), found.newer.len()), (&[][..], 1), "{:?}", found.newer);
    let rebuilt =
        runtime.block_on(async { Maintenance::open(settings(folder)).await.unwrap().rebuild(&|_| ()).await });
    if is_shared {
        // Others may use it.
        assert_eq!(rebuilt.unwrap_err().code().as_str(), "newer_format");
        return;
    }
    assert_eq!(rebuilt.unwrap().sequences, 2);
    live(folder, false, async |client| assert_eq!(names(client).await, ["new", "old"]));
}
