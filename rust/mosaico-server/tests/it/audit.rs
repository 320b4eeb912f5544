//! The audit log as events and as a file.

use std::path::Path;

use mosaico_admin::KeyUpdate;
use mosaico_server::{AnonymousLevel, Config, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;
use crate::keyed::*;

/// All audit events, oldest first.
async fn all_events(session: &Session) -> Vec<Value> {
    let page = session.act("event_list", json!({"kinds": ["audit"], "limit": 1000})).await.unwrap();
    page["events"].as_array().unwrap().clone()
}

/// The audit events of calls.
async fn events(session: &Session) -> Vec<Value> {
    let mut found = all_events(session).await;
    found.retain(|event| !is_command(&event["detail"]["call"]));
    found
}

fn all_lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The lines of calls.
fn lines(file: &Path) -> Vec<Value> {
    let mut found = all_lines(file);
    found.retain(|line| !is_command(&line["call"]));
    found
}

/// Whether a command did it beside the daemon, as tests create their keys.
fn is_command(call: &Value) -> bool {
    call.as_str().is_some_and(|call| call.starts_with("api_key_") || call == "link_revoke_all")
}

fn has(events: &[Value], call: &str, result: &str) -> bool {
    events.iter().any(|event| event["detail"]["call"] == call && event["detail"]["result"] == result)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_and_refusals_are_events_for_administrators() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "b-1"]).await;
    let admin = key(folder.path(), &["*:read,admin"]).await;
    let [writer, reader] =
        [key(folder.path(), &["a-*:read,write,delete"]).await, key(folder.path(), &["*:read"]).await];
    let server = TestServer::start(closed(folder.path())).await;
    let [admin, writing, reading] = [&admin, &writer, &reader].map(|token| Session::new(&server, token));
    writing.act("topic_delete", json!({"name": "a-1/t"})).await.unwrap_err();
    writing.act("sequence_create", json!({"name": "a-2", "user_metadata": {}})).await.unwrap();
    reading.names().await.unwrap();
    assert!(is_refused(&reading.act("sequence_delete", json!({"name": "a-1"})).await.unwrap_err()));
    assert!(is_refused(&Session::anonymous(&server).names().await.unwrap_err()));
    let forged = Session::new(&server, &forged(&reader));
    assert!(is_refused(&forged.names().await.unwrap_err()));
    eventually("the events", async || events(&admin).await.len() >= 5).await;
    let found = events(&admin).await;
    assert_eq!(found.len(), 5, "reads are no events: {found:?}");
    let created = found.iter().find(|event| event["detail"]["call"] == "sequence_create").unwrap();
    let detail = &created["detail"];
    assert_eq!((&created["sequence"], &created["topic"]), (&json!("a-2"), &Value::Null));
    assert_eq!(detail["who"], format!("key {}", writer.fingerprint()));
    assert_eq!((&detail["subject"], &detail["result"]), (&json!("a-2"), &json!("OK")));
    assert!(detail["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{detail}");
    assert_eq!(detail["request"].as_str().unwrap().len(), 26, "{detail}");
    assert!(has(&found, "sequence_delete", "PERMISSION_DENIED"));
    let who = |event: &Value| event["detail"]["who"].as_str().unwrap().to_owned();
    let mut refused: Vec<_> =
        found.iter().filter(|event| event["detail"]["call"] == "ListFlights").map(who).collect();
    refused.sort();
    assert_eq!(refused, ["anonymous".to_owned(), format!("invalid key {}", reader.fingerprint())]);

    // By sequence and topic, as all events.
    let some = admin.act("event_list", json!({"kinds": ["audit"], "sequence": "a-1"})).await.unwrap();
    let some = some["events"].as_array().unwrap();
    assert!(some.iter().all(|event| event["sequence"] == "a-1"), "{some:?}");
    assert!(some.iter().any(|event| event["topic"] == "t"), "{some:?}");

    // Only on request, and for administrators.
    let all = admin.act("event_list", json!({})).await.unwrap();
    assert!(all["events"].as_array().unwrap().iter().all(|event| event["kind"] != "audit"));
    for session in [&reading, &writing] {
        let request = json!({"kinds": ["sequence_created", "audit"]});
        let status = session.act("event_list", request).await.unwrap_err();
        assert!(is_refused(&status) && status.message().contains("`admin`"), "{status}");
    }
    let scoped = Session::new(&server, &key(folder.path(), &["a-*:read,admin"]).await);
    scoped.until_refused(false).await;
    let status = scoped.act("event_list", json!({"kinds": ["audit"]})).await.unwrap_err();
    assert!(is_refused(&status), "{status}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_calls_is_a_few_events() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let token = key(folder.path(), &["*:read,write,admin"]).await;
    let audit_log = folder.path().join("audit.jsonl");
    let config = Config { audit_log: Some(audit_log.clone()), ..closed(folder.path()) };
    let server = TestServer::start(config.clone()).await;
    let admin = Session::new(&server, &token);
    let stranger = Session::anonymous(&server);
    for call in 0..300 {
        let body = json!({"name": format!("name-{call}"), "user_metadata": {}});
        assert!(is_refused(&stranger.act("sequence_create", body).await.unwrap_err()));
        assert!(is_refused(&stranger.names().await.unwrap_err()));
    }
    admin.act("sequence_create", json!({"name": "a-2", "user_metadata": {}})).await.unwrap();
    eventually("the creation", async || has(&events(&admin).await, "sequence_create", "OK")).await;
    assert_eq!(events(&admin).await.len(), 3, "one of each kind, and the creation");
    server.stop().await;

    // The end of the server writes the numbers.
    let server = TestServer::start(config).await;
    let admin = Session::new(&server, &token);
    let found = events(&admin).await;
    let times: Vec<_> = found.iter().filter_map(|event| event["detail"]["times"].as_u64()).collect();
    assert_eq!(times, [299, 299], "{found:?}");
    server.stop().await;
    let lines = lines(&audit_log);
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(lines.iter().filter_map(|line| line["times"].as_u64()).sum::<u64>(), 598);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_everybody_may_do_everything_only_the_file_has_the_lines() {
    let folder = TempDir::new().unwrap();
    let audit_log = folder.path().join("audit.jsonl");
    let open = Config { audit_log: Some(audit_log.clone()), ..config(folder.path()) };
    let server = TestServer::start(open).await;
    let key = create_sequence(&server.client, "run").await;
    act(&server.client, "sequence_keep_alive", json!({"name": "run", "key": key})).await.unwrap();
    create_topic(&server.client, "run/t", &key).await;
    eventually("two lines", async || lines(&audit_log).len() == 2).await;
    assert!(events(&Session::anonymous(&server)).await.is_empty());
    server.stop().await;
    let lines = lines(&audit_log);
    let calls: Vec<_> = lines.iter().map(|line| (&line["who"], &line["call"], &line["subject"])).collect();
    let who = json!("anonymous");
    let expected = [(json!("sequence_create"), json!("run")), (json!("topic_create"), json!("run/t"))];
    let expected: Vec<_> = expected.iter().map(|(call, subject)| (&who, call, subject)).collect();
    assert_eq!(calls, expected, "heartbeats are no changes");
    let text = std::fs::read_to_string(&audit_log).unwrap();
    assert!(!text.contains(&key), "the key of a writer is a secret: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_fails_the_start() {
    let folder = TempDir::new().unwrap();
    let audit_log = Some(folder.path().join("none/audit.jsonl"));
    let config = Config { audit_log, anonymous: Some(AnonymousLevel::None), ..config(folder.path()) };
    let error = Server::open(config).await.unwrap_err().to_string();
    assert!(error.contains("none/audit.jsonl") && error.contains("--audit-log"), "{error}");
    TestServer::start(closed(folder.path())).await.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_keys_and_links_by_commands_are_audited_once() {
    let folder = TempDir::new().unwrap();
    // While no daemon runs.
    let admin = key(folder.path(), &["*:read,admin"]).await;
    let other = key(folder.path(), &["a-*:read"]).await.fingerprint();
    let longer = KeyUpdate { description: Some("longer".into()), ..KeyUpdate::default() };
    keys(folder.path()).update(other, longer).await.unwrap();
    let audit_log = folder.path().join("audit.jsonl");
    let config = Config { audit_log: Some(audit_log.clone()), ..closed(folder.path()) };
    let server = TestServer::start(config.clone()).await;
    let session = Session::new(&server, &admin);
    eventually("the changes of before", async || has(&all_events(&session).await, "api_key_update", "OK"))
        .await;
    // Beside a running daemon.
    keys(folder.path()).revoke(other).await.unwrap();
    eventually("the change beside it", async || has(&all_events(&session).await, "api_key_revoke", "OK"))
        .await;
    server.stop().await;
    let server = TestServer::start(config).await;
    let session = Session::new(&server, &admin);
    keys(folder.path()).purge(false).await.unwrap();
    keys(folder.path()).revoke_links().await.unwrap();
    eventually("the changes after the restart", async || {
        has(&all_events(&session).await, "link_revoke_all", "OK")
    })
    .await;
    let found = all_events(&session).await;
    let text = |value: &Value, name: &str| value[name].as_str().unwrap().to_owned();
    let changes: Vec<_> = found.iter().filter(|event| is_command(&event["detail"]["call"])).collect();
    let calls: Vec<_> = changes.iter().map(|event| text(&event["detail"], "call")).collect();
    let expected = [
        "api_key_create",
        "api_key_create",
        "api_key_update",
        "api_key_revoke",
        "api_key_purge",
        "link_revoke_all",
    ];
    assert_eq!(calls, expected);
    let revoked = &changes[3]["detail"];
    assert_eq!(text(revoked, "subject"), other.to_string());
    assert_eq!((text(revoked, "who"), text(revoked, "from")), ("user 7".into(), "desk".into()));
    server.stop().await;
    let calls: Vec<_> = all_lines(&audit_log).iter().map(|line| text(line, "call")).collect();
    assert_eq!(calls.iter().filter(|call| is_command(&json!(call))).count(), expected.len(), "{calls:?}");
}
