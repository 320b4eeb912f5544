//! The server logs a failure once, where it is handled, with its cause; callers do not get the cause.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::future::Future;
use std::sync::Once;
use std::time::{Duration, Instant};

use mosaico_server::Server;
use mosaico_server::faults::{Effect, Fault, Faults, Operation, When};
use serde_json::json;
use tempfile::TempDir;
use tonic::Code;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, registry};

use crate::common::*;
use crate::replicated_wal::{bucket, bucket_config};

/// The error of the store in these tests.
const CAUSE: &str = "the store does not serve this now";

thread_local! {
    /// The log lines of this thread, while a test collects them.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Collects lines by thread: each test of this file has its own runtime. A thread-local subscriber is not
/// sufficient, since tracing caches for all threads whether a line is enabled.
struct Collect;

impl<S: Subscriber> Layer<S> for Collect {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                write!(self.0, " {field}={value:?}").unwrap();
            }
        }
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut text = Text(event.metadata().level().to_string());
            event.record(&mut text);
            lines.push(text.0);
        });
    }
}

/// The lines with `words` since the last call.
pub(crate) fn take(words: &str) -> Vec<String> {
    let lines = LINES.with_borrow_mut(|lines| lines.replace(Vec::new()).unwrap());
    lines.into_iter().filter(|line| line.contains(words)).collect()
}

/// Runs `work` with its lines collected.
pub(crate) fn logged(work: impl Future<Output = ()>) {
    static COLLECTED: Once = Once::new();
    COLLECTED.call_once(|| registry().with(LevelFilter::WARN).with(Collect).init());
    LINES.set(Some(Vec::new()));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn refuse(faults: &Faults, operation: Operation, path: &str, when: When) {
    faults.add(Fault { operation: Some(operation), path: path.to_owned(), when, effect: Effect::Refuse });
}

async fn started(folder: &TempDir) -> (Faults, TestServer) {
    let faults = Faults::default();
    let mut config = config(folder.path());
    config.faults = faults.clone();
    config.retry_pause = Duration::from_millis(10);
    (faults, TestServer::start(config).await)
}

#[test]
fn a_call_that_fails_is_logged_once_with_its_cause() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let (faults, server) = started(&folder).await;
        let client = server.client.clone();
        let key = create_sequence(&client, "run").await;
        let topic = create_topic(&client, "run/t", &key).await;
        put(&client, "run/t", &topic, &[rows(&[1, 2], 0)]).await.unwrap();
        act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
        take("");

        // An action, a read whose stream fails, and a put whose stream fails.
        refuse(&faults, Operation::Put, "sequence.json", When::Always);
        let create = json!({"name": "new", "user_metadata": {}});
        let text = refused(act(&client, "sequence_create", create).await, Code::Unavailable);
        assert!(!text.contains(CAUSE), "{text}");
        let found = take(CAUSE);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ERROR") && found[0].contains("the store failed"), "{found:?}");
        faults.lift();

        refuse(&faults, Operation::Get, ".parquet", When::Always);
        let text = refused(get_window(&client, "run/t", None, None).await, Code::Unavailable);
        assert!(!text.contains(CAUSE), "{text}");
        assert_eq!(take(CAUSE).len(), 1);
        faults.lift();

        let key = create_sequence(&client, "second").await;
        let topic = create_topic(&client, "second/t", &key).await;
        refuse(&faults, Operation::Put, "schema.json", When::Always);
        let text = refused(put(&client, "second/t", &topic, &[rows(&[1], 0)]).await, Code::Unavailable);
        assert!(!text.contains(CAUSE), "{text}");
        assert_eq!(take(CAUSE).len(), 1);
        faults.lift();

        // The daemon's log omits the mistakes of callers.
        refused(info(&client, json!({"resource_locator": "none"})).await, Code::NotFound);
        assert_eq!(take(""), [""; 0]);
        server.stop().await;
    });
}

#[test]
fn a_refused_conditional_write_is_no_error() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let faults = bucket(folder.path());
        let server = TestServer::start(bucket_config(folder.path(), &faults)).await;
        let client = server.client.clone();
        let key = create_sequence(&client, "run").await;
        let topic = create_topic(&client, "run/t", &key).await;
        let found =
            files(&folder.path().join("bucket")).into_iter().find(|name| name.ends_with("topic.json"));
        let of_topic = folder.path().join("bucket").join(found.unwrap()).with_file_name("wal");
        std::fs::create_dir(&of_topic).unwrap();
        // A late write of an earlier process.
        let other = of_topic.join("00000-0000000-00000000000000000000-2.wal");
        std::fs::write(&other, "another").unwrap();
        take("");
        refused(put(&client, "run/t", &topic, &[rows(&[1, 2], 0)]).await, Code::Unavailable);
        let lines = take("");
        assert!(lines.iter().all(|line| !line.starts_with("ERROR")), "{lines:?}");
        // The next attempt is in another segment.
        std::fs::remove_file(&other).unwrap();
        let mut again = put_command("run/t", &topic);
        again.cmd = json!({"resource_locator": "run/t", "key": topic, "resume": 1}).to_string().into();
        let batches = futures::stream::iter([rows(&[1, 2], 0)]);
        let messages = put_messages(Some(again), rows(&[1], 0).schema(), batches);
        let mut answers = client.clone().do_put(messages).await.unwrap().into_inner();
        while answers.message().await.unwrap().is_some() {}
        assert_eq!(get(&client, "run/t").await.len(), 2);
        server.stop().await;
    });
}

#[test]
fn a_damaged_chunk_is_logged_once() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let (_, server) = started(&folder).await;
        let client = server.client.clone();
        let key = create_sequence(&client, "run").await;
        let topic = create_topic(&client, "run/t", &key).await;
        put(&client, "run/t", &topic, &[rows(&[1, 2], 0)]).await.unwrap();
        act(&client, "sequence_finalize", json!({"name": "run", "key": key})).await.unwrap();
        let chunk = files(folder.path()).into_iter().find(|file| file.ends_with(".parquet")).unwrap();
        let chunk = folder.path().join(chunk);
        std::fs::write(&chunk, vec![0; std::fs::metadata(&chunk).unwrap().len() as usize]).unwrap();
        take("");
        let text = refused(get_window(&client, "run/t", None, None).await, Code::DataLoss);
        assert!(text.contains("chunk 00000-0000000 of topic `run/t` is damaged"), "{text}");
        // A background job reports it.
        let mut found = Vec::new();
        eventually("the damage is logged", async || {
            found.extend(take("damaged"));
            !found.is_empty()
        })
        .await;
        server.stop().await;
        found.extend(take("damaged"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("ERROR") && found[0].contains("chunk 00000-0000000"), "{found:?}");
    });
}

#[test]
fn an_attempt_of_background_work_is_logged_once_with_its_cause() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let (faults, server) = started(&folder).await;
        let client = server.client.clone();
        take("");
        refuse(&faults, Operation::Put, "events/", When::Nth(0));
        create_sequence(&client, "run").await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while faults.hits() == 0 || files_of_events(&folder) == 0 {
            assert!(Instant::now() < deadline, "events are not stored");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let found = take(CAUSE);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("StoreEvents"), "{found:?}");
        server.stop().await;
    });
}

fn files_of_events(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path().join("events")).map(Iterator::count).unwrap_or_default()
}

#[test]
fn a_start_that_fails_logs_nothing_and_returns_the_cause() {
    logged(async {
        let folder = TempDir::new().unwrap();
        let faults = Faults::default();
        refuse(&faults, Operation::Get, "", When::Always);
        let mut config = config(folder.path());
        config.faults = faults.clone();
        let error = Server::open(config).await.unwrap_err();
        assert!(error.detail().to_string().contains(CAUSE), "{}", error.detail());
        assert!(!error.to_string().contains(CAUSE), "{error}");
        assert_eq!(take(CAUSE), [""; 0], "the program that starts the server reports it");
    });
}
