//! Mutated real messages and files: for any input, the server responds with one of its own statuses and keeps
//! running. `PROPTEST_CASES` sets the number of inputs.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::time::Duration;

use arrow_flight::{Action, Criteria, FlightData, FlightDescriptor, Ticket};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{TryStreamExt, stream};
use mosaico_server::Server;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::Status;

use crate::common::*;
use crate::database;
use crate::vectors::*;

/// The time limit of the response to one input.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A mutation of some bytes.
#[derive(Debug, Clone)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| index.index(bytes.len() + 1);
        match self {
            Self::Set(index, value) => {
                let at = at(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Self::Insert(index, more) => drop(bytes.splice(at(index)..at(index), more.clone())),
            Self::Remove(index, length) => {
                let from = at(index);
                bytes.drain(from..bytes.len().min(from + length));
            }
            Self::Repeat(index, length) => {
                let from = at(index);
                let part = bytes[from..bytes.len().min(from + length)].to_vec();
                bytes.splice(from..from, part);
            }
            Self::Cut(index) => bytes.truncate(at(index)),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let tokens: Vec<&[u8]> = vec![
        b"\"",
        b"{",
        b"[[[[[[[[",
        b"null",
        b"-1",
        b"1e999",
        b"\xff\xff\xff\xff",
        b"\0",
        b"\\u0000",
        b"/..",
    ];
    let edit = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Edit::Set(at, value)),
        2 => (any::<Index>(), select(tokens)).prop_map(|(at, token)| Edit::Insert(at, token.to_vec())),
        1 => (any::<Index>(), 1usize..9).prop_map(|(at, length)| Edit::Remove(at, length)),
        1 => (any::<Index>(), 1usize..65).prop_map(|(at, length)| Edit::Repeat(at, length)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ];
    vec(edit, 1..4)
}

fn mutated(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(corpus), edits()).prop_map(|(bytes, edits)| apply(bytes, &edits))
}

fn apply(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    edits.iter().for_each(|edit| edit.apply(&mut bytes));
    bytes
}

fn texts(cases: &[Value], field: &str) -> Vec<Vec<u8>> {
    let found: Vec<_> = cases.iter().filter_map(|case| Some(case[field].as_str()?.into())).collect();
    assert!(!found.is_empty());
    found
}

/// A server with the recorded sequence, and a runtime for calls.
struct Target {
    runtime: Runtime,
    folder: TempDir,
    server: TestServer,
    sequence_key: String,
}

impl Target {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let folder = TempDir::new().unwrap();
        let (server, sequence_key) = runtime.block_on(async {
            let server = TestServer::start(config(folder.path())).await;
            // Finalized: an input with the key of an open sequence could remove it.
            let key = create_sequence(&server.client, "kept-seq").await;
            let topic = create_topic(&server.client, "kept-seq/t/one", &key).await;
            put(&server.client, "kept-seq/t/one", &topic, &[rows_of("put_mock")]).await.unwrap();
            let finalized = json!({"name": "kept-seq", "key": key});
            act(&server.client, "sequence_finalize", finalized).await.unwrap();
            let key = create_sequence(&server.client, "raw-seq").await;
            (server, key)
        });
        Self { runtime, folder, server, sequence_key }
    }

    fn client(&self) -> Client {
        self.server.client.clone()
    }

    /// Runs a call to completion. It may be refused, but not with a code that means a bug.
    fn call<T: Debug>(&self, work: impl Future<Output = Result<T, Status>>) -> Option<T> {
        let outcome = self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, work).await });
        match outcome.expect("no answer") {
            Ok(answer) => Some(answer),
            Err(status) => {
                assert_ne!(machine_code(&status), "internal", "{status}");
                check_text(status.message());
                None
            }
        }
    }

    /// Checks that the server responds and that the rows are unchanged, also after a restart.
    fn end(self) {
        let Self { runtime, folder, server, .. } = self;
        runtime.block_on(async {
            check_rows(&server.client).await;
            server.stop().await;
            let server = TestServer::start(config(folder.path())).await;
            check_rows(&server.client).await;
            server.stop().await;
        });
    }
}

async fn check_rows(client: &Client) {
    client.clone().list_flights(Criteria::default()).await.unwrap();
    let found = get_window(client, "kept-seq/t/one", None, None).await.unwrap();
    let found = arrow::compute::concat_batches(&found[0].schema(), &found).unwrap();
    assert_eq!(found.columns(), rows_of("put_mock").columns());
}

/// Runs `check` on a share of the configured number of inputs.
fn fuzz<S: Strategy>(share: u32, inputs: S, check: impl Fn(&Target, S::Value)) {
    let target = Target::start();
    let cases = Config::default().cases.div_ceil(share);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        check(&target, input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    target.end();
}

#[test]
fn action_bodies() {
    let calls: Vec<(String, Vec<u8>)> = ["actions", "sdk_trace"]
        .into_iter()
        .flat_map(cases)
        .filter(|case| case["action"].is_string())
        .map(|case| (text(&case, "action").to_owned(), text(&case, "body").into()))
        .collect();
    fuzz(1, (select(calls), edits()), |target, ((action, body), edits)| {
        let body = String::from_utf8(body).unwrap();
        // With a valid key, calls get further.
        let body =
            uuid_texts(&body).iter().fold(body.clone(), |body, key| body.replace(key, &target.sequence_key));
        let body = apply(body.into(), &edits);
        target.call(async {
            let action = Action { r#type: action, body: body.into() };
            target.client().do_action(action).await?.into_inner().try_collect::<Vec<_>>().await
        });
    });
}

fn uuid_texts(text: &str) -> Vec<String> {
    text.split('"').filter(|part| uuid::Uuid::parse_str(part).is_ok()).map(str::to_owned).collect()
}

#[test]
fn descriptors() {
    let commands = texts(&cases("flight_info"), "cmd");
    fuzz(1, mutated(commands), |target, command| {
        target.call(async { target.client().get_flight_info(FlightDescriptor::new_cmd(command)).await });
    });
}

#[test]
fn tickets() {
    let tickets = cases("do_get").iter().map(|case| bytes(text(case, "ticket_hex"))).collect();
    fuzz(1, mutated(tickets), |target, ticket| {
        target.call(get_ticket(&target.client(), Ticket::new(ticket)));
    });
}

#[test]
fn put_commands() {
    let schema = put_schema();
    fuzz(2, mutated(texts(&cases("do_put"), "cmd")), |target, command| {
        let command = Some(FlightDescriptor::new_cmd(command));
        put_messages_of(target, vec![FlightData { flight_descriptor: command, ..schema.clone() }]);
    });
}

fn put_schema() -> FlightData {
    let header =
        cases("do_put").iter().find_map(|case| case["schema_header_base64"].as_str().map(str::to_owned));
    FlightData { data_header: STANDARD.decode(header.unwrap()).unwrap().into(), ..Default::default() }
}

fn put_messages_of(target: &Target, messages: Vec<FlightData>) -> Option<()> {
    target.call(async {
        let answers = target.client().do_put(stream::iter(messages)).await?.into_inner();
        answers.try_collect::<Vec<_>>().await.map(drop)
    })
}

/// IPC messages: this process and the next can read back whatever the server accepts.
#[test]
fn arrow_messages() {
    let recordings = ["put_mock", "put_image", "put_ragged", "put_gps"];
    let inputs = (select(recordings.to_vec()), 0usize..2, any::<bool>(), edits());
    let count = std::sync::atomic::AtomicUsize::new(0);
    fuzz(1, inputs, |target, (recording, which, header, edits)| {
        let at = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let locator = format!("raw-seq/fuzz/{at}");
        let rows = rows_of(recording);
        let mut messages: Vec<FlightData> = target.runtime.block_on(async {
            use futures::StreamExt;
            let topic = create_topic(&target.client(), &locator, &target.sequence_key).await;
            let command = Some(put_command(&locator, &topic));
            put_messages(command, rows.schema(), stream::iter([rows.clone()])).collect().await
        });
        let message = &mut messages[which];
        let part = if header { &mut message.data_header } else { &mut message.data_body };
        *part = apply(part.to_vec(), &edits).into();
        if put_messages_of(target, messages).is_some() {
            let read = target.call(get_window(&target.client(), &locator, None, None));
            read.expect("rows that were accepted");
        }
    });
}

/// Damaged files of the store and of the WAL: a start either works or returns the reason.
#[test]
fn damaged_files() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let whole = TempDir::new().unwrap();
    runtime.block_on(record_beside_a_log(whole.path()));
    let files = files(whole.path());
    for kind in [".wal", "layers.json", "commit.json", "schema.json", ".parquet", "sequence.json"] {
        assert!(files.iter().any(|file| file.ends_with(kind)), "no {kind}: {files:?}");
    }
    let cases = Config::default().cases.div_ceil(8);
    let runner = Config { cases, failure_persistence: None, ..Config::default() };
    let inputs = (select(files), edits(), any::<bool>());
    let outcome = TestRunner::new(runner).run(&inputs, |(file, edits, rebuild)| {
        let folder = TempDir::new().unwrap();
        copy(whole.path(), folder.path());
        if rebuild {
            database::remove(folder.path());
        }
        let damaged = folder.path().join(&file);
        fs::write(&damaged, apply(fs::read(&damaged).unwrap(), &edits)).unwrap();
        runtime.block_on(async {
            let opened = tokio::time::timeout(TIMEOUT, Server::open(config(folder.path()))).await;
            match opened.expect("a start that ends") {
                Ok(server) => {
                    tokio::time::timeout(TIMEOUT, server.shutdown()).await.expect("an end");
                }
                Err(error) => check_text(&error.to_string()),
            }
        });
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// A store as a crash leaves it: one topic is complete, one has its rows in the WAL.
async fn record_beside_a_log(to: &Path) {
    let folder = TempDir::new().unwrap();
    let server = TestServer::start(config(folder.path())).await;
    let client = server.client.clone();
    let key = create_sequence(&client, "run").await;
    let notify = serde_json::json!({"name": "run", "notify_type": "error", "msg": "m"});
    act(&client, "sequence_notify_create", notify).await.unwrap();
    let layer = serde_json::json!({"name": "l", "description": "d"});
    act(&client, "layer_create", layer).await.unwrap();
    let topic = create_topic(&client, "run/done", &key).await;
    put(&client, "run/done", &topic, &[rows_of("put_mock")]).await.unwrap();
    let topic = create_topic(&client, "run/open", &key).await;
    let mut open = Put::open(&client, "run/open", &topic, rows_of("put_gps").schema()).await;
    open.send(rows_of("put_gps")).await;
    open.durable(10).await;
    copy(folder.path(), to);
    open.finish().await.unwrap();
    drop(client);
    server.stop().await;
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
