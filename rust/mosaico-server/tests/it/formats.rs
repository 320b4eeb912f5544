//! Stores with files of a newer version of the program: the server refuses the newer files and leaves them
//! unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mosaico_admin::{CheckOptions, Checked, Maintenance};
use mosaico_server::Server;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Code;

use crate::common::*;
use crate::database;
use crate::rebuild::{live, settings, settle};
use crate::replicated_wal::crash_after;

/// Changes a record to version 99, with unknown fields and a valid checksum.
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

/// The file with this name in the folder of the first sequence, or of its only topic.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut found =
        files(folder).into_iter().filter(|file| file.ends_with(name) || file.contains(&format!("/{name}/")));
    folder.join(found.next().unwrap_or_else(|| panic!("no {name}: {:?}", files(folder))))
}

/// Records a finalized sequence `old` and, before it, a sequence `new`, which is open or finalized too.
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
            // The server's shutdown interrupts the put; some of its rows are in chunks by then.
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

/// `name` is a record of the first sequence; `is_read`: whether a rebuild reads it.
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

    // This is not damage, and there is nothing to repair.
    for repair in [false, true] {
        let found = runtime.block_on(check(folder, repair));
        assert_eq!((found.problems.as_slice(), found.lost_rows), (&[][..], 0), "{name}");
        assert_eq!(found.newer.len(), 1, "{name}: {:?}", found.newer);
        assert_eq!(found.newer[0].path, path);
        assert_says_it(&found.newer[0].text);
        assert_eq!(found.sequences, 1, "the other one is checked");
    }
    // A rebuild reports it.
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
    // Garbage collection keeps it, whatever its age.
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

/// Writes other bytes of a chunk of one block as its daemon would have: with their checksums, and with a record
/// that has that of the file.
fn rewrite(folder: &Path, path: &Path, bytes: &mut [u8]) {
    // Before the end: the checksum of the block, its size, the number of covered bytes, the mark.
    let sum = bytes.len() - 9 - 20 - 4;
    let covered = u64::from_le_bytes(bytes[sum + 8..sum + 16].try_into().unwrap()) as usize;
    let block = crc32fast::hash(&bytes[..covered]).to_le_bytes();
    bytes[sum..sum + 4].copy_from_slice(&block);
    fs::write(path, &*bytes).unwrap();
    for file in [path.with_file_name("commit.json"), path.with_extension("json")] {
        let Ok(text) = fs::read(&file) else { continue };
        let mut record: Value = serde_json::from_slice(&text).unwrap();
        let is_commit = record["chunks"].is_array();
        let chunk = if is_commit { &mut record["chunks"][0] } else { &mut record };
        chunk["crc32"] = json!(crc32fast::hash(bytes));
        record.as_object_mut().unwrap().remove("record_crc32");
        fs::write(&file, record.to_string()).unwrap();
    }
    database::remove(folder);
}

#[test]
fn a_newer_chunk_is_refused_when_it_is_opened() {
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    live(folder, false, async |client| {
        record(client, false).await;
        settle(folder).await;
    });
    // The version is in the footer as text; its length stays the same.
    let path = find(folder, "chunk-00000-0000000.parquet");
    let mut bytes = fs::read(&path).unwrap();
    let key = b"mosaico:format_version";
    let at = bytes.windows(key.len()).position(|window| window == key).expect("the key") + key.len();
    let digit = at + bytes[at..].iter().position(|byte| *byte == b'1').unwrap();
    bytes[digit] = b'7';
    rewrite(folder, &path, &mut bytes);
    live(folder, false, async |client| {
        let error = get_window(client, "new/t", None, None).await.unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
        let text = error.message();
        assert!(text.contains("format version 7") && text.contains("chunk seq/"), "{text}");
        assert_eq!(get(client, "old/t").await, [(1, 1), (2, 2), (3, 3)]);
    });
    // Without the key, the file's format is unknown.
    bytes[at - 1] = b'N';
    rewrite(folder, &path, &mut bytes);
    live(folder, false, async |client| {
        refused(get_window(client, "new/t", None, None).await, Code::Internal);
    });
}

#[test]
fn a_newer_catalog_is_refused_and_can_be_rebuilt() {
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
    assert!(error.to_string().contains("the catalog has format version 99"), "{error}");
    let found = runtime.block_on(check(folder, true));
    assert_eq!((found.problems.as_slice(), found.newer.len()), (&[][..], 1), "{:?}", found.newer);
    let rebuilt =
        runtime.block_on(async { Maintenance::open(settings(folder)).await.unwrap().rebuild(&|_| ()).await });
    if is_shared {
        // Another process may use it.
        assert_eq!(rebuilt.unwrap_err().code().as_str(), "newer_format");
        return;
    }
    assert_eq!(rebuilt.unwrap().sequences, 2);
    live(folder, false, async |client| assert_eq!(names(client).await, ["new", "old"]));
}

/// Writes a store with a file of every format that a single daemon writes, as a crash leaves it.
fn write_store(folder: &Path) {
    let begun = Instant::now();
    crash_after(settings(folder), async |client| {
        let done = create_sequence(client, "done").await;
        for (topic, count) in [("a", 60), ("b/c", 3)] {
            let locator = format!("done/{topic}");
            let key = create_topic(client, &locator, &done).await;
            put(client, &locator, &key, &[numbers(0..count)]).await.unwrap();
        }
        for (action, name) in [("sequence_notify_create", "done"), ("topic_notify_create", "done/a")] {
            let body = json!({"name": name, "notify_type": "error", "msg": format!("about {name}")});
            act(client, action, body).await.unwrap();
        }
        act(client, "sequence_finalize", json!({"name": "done", "key": done})).await.unwrap();
        act(client, "layer_create", json!({"name": "layer", "description": "d"})).await.unwrap();
        let left = create_sequence(client, "left").await;
        act(client, "sequence_end", json!({"name": "left", "key": left})).await.unwrap();
        let open = create_sequence(client, "open").await;
        let key = create_topic(client, "open/t", &open).await;
        let command = json!({"resource_locator": "open/t", "key": key, "resume": 2});
        let command = arrow_flight::FlightDescriptor::new_cmd(command.to_string());
        let mut put = Put::describe(client, command, numbers(0..1).schema()).await;
        put.send(numbers(0..60)).await;
        put.durable(60).await;
        settle(folder).await;
        // These rows stay in the WAL.
        put.send(numbers(60..63)).await;
        put.durable(63).await;
        std::mem::forget(put);
        while !has_event(folder, "chunk_stored", 2) {
            assert!(begun.elapsed() < Duration::from_secs(20), "events come to the store");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Whether the store has `count` events of a kind, however late they arrive.
fn has_event(folder: &Path, kind: &str, count: usize) -> bool {
    let Ok(files) = fs::read_dir(folder.join("events")) else { return false };
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    texts.map(|text| text.matches(&format!("\"{kind}\"")).count()).sum::<usize>() >= count
}

fn numbers(range: std::ops::Range<i64>) -> arrow::array::RecordBatch {
    let first = range.start as usize;
    rows(&range.collect::<Vec<_>>(), first)
}

async fn assert_reads(client: &Client) {
    let expected = |count: i64| (0..count).map(|at| (at, at)).collect::<Vec<_>>();
    assert_eq!(names(client).await, ["done", "left", "open"]);
    for (locator, count) in [("done/a", 60), ("done/b/c", 3), ("open/t", 63)] {
        assert_eq!(get(client, locator).await, expected(count), "{locator}");
    }
    for (action, name) in [("sequence_notify_list", "done"), ("topic_notify_list", "done/a")] {
        let found = act(client, action, json!({"name": name})).await.unwrap().to_string();
        assert!(found.contains(&format!("about {name}")), "{found}");
    }
    let layers = act(client, "layer_list", json!({})).await.unwrap().to_string();
    assert!(layers.contains("layer"), "{layers}");
    let events = act(client, "event_list", json!({"kinds": ["sequence_finalized"]})).await.unwrap();
    assert_eq!(events["events"][0]["sequence"], "done", "{events}");
    let locked = json!({"name": "left", "key": "00000000-0000-0000-0000-000000000000"});
    assert!(act(client, "sequence_finalize", locked).await.is_err());
    let info = info(client, json!({"resource_locator": "open/t"})).await.unwrap();
    let metadata: Value = serde_json::from_slice(&info.endpoint[0].app_metadata).unwrap();
    assert_eq!(metadata["resumed"], 2, "{metadata}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            // A thread of the crashed server may still remove its temporary file.
            false => match fs::copy(entry.path(), target) {
                Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}

#[test]
fn stores_of_every_version_are_read() {
    if let Some(folder) = std::env::var_os("MOSAICO_WRITE_FIXTURE") {
        write_store(Path::new(&folder));
    }
    let current = TempDir::new().unwrap();
    write_store(current.path());
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let fixtures = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
    let stores: Vec<PathBuf> = fixtures.filter(|path| path.is_dir()).collect();
    for store in stores.iter().map(PathBuf::as_path).chain([current.path()]) {
        for has_catalog in [true, false] {
            let folder = TempDir::new().unwrap();
            let folder = folder.path();
            copy_folder(store, folder);
            // The catalog of a fixture is a SQLite file.
            let is_file = folder.join("catalog.db").exists();
            if is_file != database::url().is_none() {
                continue;
            }
            if is_file && !has_catalog {
                database::remove(folder);
            }
            live(folder, false, async |client| {
                assert_reads(client).await;
                settle(folder).await;
            });
            let found = Runtime::new().unwrap().block_on(check(folder, false));
            assert_eq!((found.problems, found.newer), (Vec::new(), Vec::new()), "{}", store.display());
            assert_eq!((found.sequences, found.topics, found.rows), (3, 3, 126), "{}", store.display());
        }
    }
}
