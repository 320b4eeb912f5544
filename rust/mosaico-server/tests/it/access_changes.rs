//! Keys that change while a server runs, and the tickets that belong to a key.

use std::time::{Duration, Instant};

use arrow_flight::{FlightData, Ticket};
use futures::StreamExt;
use mosaico_server::{AnonymousLevel, Config};
use mosaico_wire::FOLLOW_HEADER;
use mosaico_wire::command::PutAck;
use mosaico_wire::select::Selection;
use mosaico_wire::ticket::selected;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;

use crate::common::*;
use crate::keyed::*;

/// How soon a change counts for new calls, and how soon it ends open streams.
const NEW_CALLS: Duration = Duration::from_secs(1);
const OPEN_STREAMS: Duration = Duration::from_secs(2);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn changes_count_at_once_in_a_running_server() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let first = Session::new(&server, &key(folder.path(), &["*:read"]).await);
    first.until_refused(false).await;
    for _ in 0..3 {
        // The server has just looked at the keys.
        first.names().await.unwrap();
        let token = key(folder.path(), &["*:read"]).await;
        let (session, begun) = (Session::new(&server, &token), Instant::now());
        session.until_refused(false).await;
        assert!(begun.elapsed() < NEW_CALLS + SLACK, "{:?}", begun.elapsed());
        keys(folder.path()).revoke(token.fingerprint()).await.unwrap();
        let begun = Instant::now();
        session.until_refused(true).await;
        assert!(begun.elapsed() < NEW_CALLS + SLACK, "{:?}", begun.elapsed());
    }
    let used = async || keys(folder.path()).list().await.unwrap()[0].last_used_ns.is_some();
    until(used).await;
    keys(folder.path()).purge(true).await.unwrap();
    first.until_refused(true).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_soon_after_the_revocation() {
    let folder = TempDir::new().unwrap();
    let token = key(folder.path(), &["a-*:read,write"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let session = Session::new(&server, &token);
    let sequence = session.act("sequence_create", json!({"name": "a-1", "user_metadata": {}})).await.unwrap();
    let topic = json!({
        "name": "a-1/t", "sequence_key": sequence["key"], "serialization_format": "default",
        "ontology_tag": "test", "user_metadata": {},
    });
    let topic = session.act("topic_create", topic).await.unwrap();
    let (sender, messages) = mpsc::channel::<FlightData>(8);
    let command = put_command("a-1/t", topic["key"].as_str().unwrap());
    let batches = futures::stream::iter([rows(&[1, 2], 1)]);
    let mut encoded = put_messages(Some(command), rows(&[1], 1).schema(), batches);
    while let Some(message) = encoded.next().await {
        sender.send(message).await.unwrap();
    }
    let put = session.client.clone().do_put(session.request(ReceiverStream::new(messages))).await.unwrap();
    let mut put = put.into_inner();
    // The first rows are durable.
    let mut durable = async || {
        let ack = put.message().await.unwrap().unwrap();
        serde_json::from_slice::<PutAck>(&ack.app_metadata).unwrap().durable_rows
    };
    while durable().await < 2 {}
    let ticket = Ticket { ticket: session.ticket("a-1/t").await.unwrap().into() };
    let mut request = session.request(ticket);
    request.metadata_mut().insert(FOLLOW_HEADER, MetadataValue::from_static("1"));
    let follow = session.client.clone().do_get(request).await.unwrap().into_inner();
    let waiting = {
        let (session, after) = (session.clone(), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        tokio::spawn(
            async move { session.act("event_list", json!({"wait_ms": 60_000, "after": after})).await },
        )
    };
    keys(folder.path()).revoke(token.fingerprint()).await.unwrap();
    let begun = Instant::now();
    let ended = async { tokio::join!(ending(put), ending(follow), waiting) };
    let (put, follow, waiting) = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert!(begun.elapsed() < OPEN_STREAMS + SLACK, "{:?}", begun.elapsed());
    for (what, status) in [("put", put), ("follow", follow), ("events", waiting.unwrap().err())] {
        let status = status.unwrap_or_else(|| panic!("{what} ended without an error"));
        assert!(is_refused(&status), "{what}: {status}");
    }
    drop(sender);
    server.stop().await;
    let server = TestServer::start(config(folder.path())).await;
    assert_eq!(get(&server.client, "a-1/t").await, [(1, 1), (2, 2)], "acknowledged rows stay");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_belong_to_their_key() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "a-2", "b-1"]).await;
    let (one, other) = (key(folder.path(), &["a-*:read"]).await, key(folder.path(), &["a-*:read"]).await);
    let server = TestServer::start(closed(folder.path())).await;
    let (one, other) = (Session::new(&server, &one), Session::new(&server, &other));
    let ticket = one.ticket("a-1/t").await.unwrap();
    let messages = one.read(ticket.clone()).await.unwrap();
    assert!(messages > 1, "schema and rows");
    assert_eq!(one.read(ticket.clone()).await.unwrap(), messages, "a ticket can be used again");
    let selection = Selection { columns: Some(vec!["value".into()]), condition: None };
    assert_eq!(one.read([ticket.clone(), selected(&selection)].concat()).await.unwrap(), messages);

    let replaced = |from: &[u8], to: &[u8]| {
        let at = ticket.windows(from.len()).position(|part| part == from).expect("the part");
        [&ticket[..at], to, &ticket[at + from.len()..]].concat()
    };
    let signature = ticket.windows(5).position(|part| part == b"sign:").expect("a signature");
    let mut flipped = ticket.clone();
    flipped[signature + 10] ^= 1;
    let altered = [
        ("another sequence of the scope", replaced(b"a-1/t", b"a-2/t")),
        ("a sequence out of scope", replaced(b"a-1/t", b"b-1/t")),
        ("a sequence that does not exist", replaced(b"a-1/t", b"b-9/t")),
        ("another window", replaced(b"a-1/t\x00", b"a-1/t\x01\x04")),
        ("another signature", flipped),
        ("no signature", ticket[..signature].to_vec()),
    ];
    let mut answers = Vec::new();
    for (what, altered) in altered {
        let status = one.read(altered).await.expect_err(what);
        assert!(is_refused(&status), "{what}: {status}");
        answers.push(answer_of(&status, "/"));
    }
    let replayed = other.read(ticket.clone()).await.unwrap_err();
    assert!(is_refused(&replayed), "with another key of the same scope: {replayed}");
    answers.push(answer_of(&replayed, "/"));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let truncated = one.read(ticket[..ticket.len() - 1].to_vec()).await.unwrap_err();
    assert_eq!(answer_of(&truncated, "/").1, "bad_ticket", "{truncated}");
    assert!(is_refused(&Session::anonymous(&server).read(ticket.clone()).await.unwrap_err()));
    let address = server.address.clone();
    server.stop().await;

    // The store has the secret: tickets outlive the server.
    let server = TestServer::start(closed(folder.path())).await;
    assert_ne!(server.address, address);
    let one = Session { client: server.client.clone(), ..one };
    assert_eq!(one.read(ticket.clone()).await.unwrap(), messages);
    server.stop().await;

    // Where everybody may read, the plain tickets of Mosaico 0.2 keep working, also with a key.
    let server =
        TestServer::start(Config { anonymous: Some(AnonymousLevel::Read), ..config(folder.path()) }).await;
    let anonymous = Session::anonymous(&server);
    let plain = anonymous.ticket("a-1/t").await.unwrap();
    assert_eq!(plain, ticket[..signature], "the ticket of Mosaico 0.2");
    let one = Session { client: server.client.clone(), ..one };
    for session in [&anonymous, &one] {
        assert_eq!(session.read(plain.clone()).await.unwrap(), messages);
    }
    let hidden = one.read([b"\x05b-1/t", &plain[6..]].concat()).await.unwrap_err();
    assert_eq!(answer_of(&hidden, "/").1, "topic_not_found", "the key decides, not the level");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn known_keys_count_while_the_store_does_not_answer() {
    use mosaico_server::faults::{Effect, Fault, Faults, When};
    let (folder, faults) = (TempDir::new().unwrap(), Faults::default());
    record(folder.path(), &["a-1"]).await;
    let token = key(folder.path(), &["*:read"]).await;
    let server = TestServer::start(Config { faults: faults.clone(), ..closed(folder.path()) }).await;
    let session = Session::new(&server, &token);
    session.until_refused(false).await;
    for effect in [Effect::Refuse, Effect::Stall] {
        let path = "api-keys.json".into();
        faults.add(Fault { operation: None, path, when: When::Always, effect });
        let begun = Instant::now();
        while begun.elapsed() < 2 * NEW_CALLS {
            assert_eq!(session.names().await.unwrap(), ["a-1"]);
        }
        let unknown = Session::with_text(&server, "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530");
        assert!(is_refused(&unknown.names().await.unwrap_err()));
        keys(folder.path()).list().await.unwrap();
        faults.lift();
    }
    keys(folder.path()).revoke(token.fingerprint()).await.unwrap();
    session.until_refused(true).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_keys_let_nobody_in_and_are_reported() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let token = key(folder.path(), &["*:read"]).await;
    let path = folder.path().join("api-keys.json");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let server = TestServer::start(closed(folder.path())).await;
    let status = Session::new(&server, &token).names().await.unwrap_err();
    assert_eq!(answer_of(&status, "/").1, "store_unavailable", "{status}");
    assert!(is_refused(&Session::anonymous(&server).names().await.unwrap_err()));
    server.stop().await;
    let check = async |repair| {
        let store = mosaico_admin::Maintenance::open(config(folder.path())).await.unwrap();
        store.check(mosaico_admin::CheckOptions { deep: false, repair }, &|_| ()).await.unwrap()
    };
    let found = check(false).await;
    assert!(found.problems.iter().any(|problem| problem.path == "api-keys.json"), "{:?}", found.problems);
    check(true).await;
    assert!(!path.exists() && folder.path().join("damaged/api-keys.json").exists());
    assert_eq!(check(false).await.problems, []);
}
