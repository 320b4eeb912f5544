//! Each call with each right, scope and kind of key.

use mosaico_engine::access::secret::Signer;
use mosaico_server::{AnonymousLevel, Config, MonitoringLevel, Server};
use mosaico_storage::format::api_keys::ApiKeysRecord;
use mosaico_storage::format::record::read;
use mosaico_types::now_ns;
use mosaico_wire::{PEER_HEADER, action, event, link, maintenance};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::common::*;
use crate::keyed::*;
use crate::monitor::ask_with;

#[test]
fn every_action_is_tried() {
    let wire = action::name::ALL
        .into_iter()
        .chain(event::name::ALL)
        .chain(link::name::ALL)
        .chain(maintenance::name::ALL);
    for name in wire {
        assert!(CALLS.iter().any(|(call, ..)| *call == name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_needs_its_right() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    for right in ["read", "write", "delete", "admin"] {
        let session = Session::new(&server, &key(folder.path(), &[&format!("*:{right}")]).await);
        session.until_refused(false).await;
        for (call, needs, subject) in CALLS {
            // A ticket that this test makes is not one of the daemon.
            if *subject == "ticket" {
                continue;
            }
            let refused = session.call(call, "a-1").await.err().filter(is_refused);
            assert_eq!(refused.is_none(), right == *needs, "{call} with the right {right}: {refused:?}");
            if let Some(status) = refused {
                assert!(status.message().contains(&format!("`{needs}`")), "{call}: {status}");
            }
        }
    }
    let reader = Session::new(&server, &key(folder.path(), &["*:read"]).await);
    reader.until_refused(false).await;
    assert_eq!(reader.names().await.unwrap(), ["a-1"], "no call without the right changed anything");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_valid_key() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let valid = key(folder.path(), &["*:read,write,delete,admin"]).await;
    let (revoked, expired) = (revoked(folder.path()).await, expired(folder.path()).await);
    let server = TestServer::start(closed(folder.path())).await;
    Session::new(&server, &valid).until_refused(false).await;
    let (text, forged) = (valid.text(), forged(&valid));
    assert!(forged.fingerprint() == valid.fingerprint() && forged != valid);
    let sessions = [
        ("none", Session::anonymous(&server)),
        ("empty", Session::with_text(&server, "")),
        ("malformed", Session::with_text(&server, "msco_x_1")),
        ("truncated", Session::with_text(&server, &text[..text.len() - 1])),
        ("secret alone", Session::with_text(&server, &text[5..37])),
        ("fingerprint alone", Session::with_text(&server, &valid.fingerprint().to_string())),
        ("unknown", Session::with_text(&server, "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530")),
        ("forged", Session::new(&server, &forged)),
        ("revoked", Session::new(&server, &revoked)),
        ("expired", Session::new(&server, &expired)),
        (
            "basic",
            Session {
                header: Some(("authorization", format!("Basic {text}"))),
                ..Session::new(&server, &valid)
            },
        ),
    ];
    let mut answers = Vec::new();
    for (what, session) in &sessions {
        for name in ["a-1", "b-1"] {
            for (call, ..) in CALLS {
                let status = session.call(call, name).await.expect_err(what);
                assert!(is_refused(&status), "{call} with {what}: {status}");
                answers.push(answer_of(&status, "/"));
            }
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for all: {answers:?}");
    assert!(!answers[0].2.contains("a-1") && answers[0].2.contains("mosaico-api-key-token"), "{answers:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_out_of_scope_do_not_exist() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "b-1"]).await;
    let all = key(folder.path(), &["*:read,write,delete,admin"]).await;
    let scoped = key(folder.path(), &["a-*:read,write,delete,admin"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let (all, scoped) = (Session::new(&server, &all), Session::new(&server, &scoped));
    for (call, _, subject) in CALLS {
        let answer = async |session: &Session, name: &str| {
            let answer = session.call(call, name).await;
            answer
                .map_err(|status| answer_of(&status, name))
                .map(|answer| answer.to_string().replace(name, "NAME"))
        };
        let (hidden, missing) = (answer(&scoped, "b-1").await, answer(&scoped, "b-9").await);
        match *subject {
            "visible" => {
                let answer = hidden.unwrap();
                assert!(answer.contains("a-1") && !answer.contains("b-1"), "{call}: {answer}");
                assert!(all.call(call, "a-1").await.unwrap().to_string().contains("b-1"), "{call}");
            }
            "store" | "new" | "ticket" => {
                assert_eq!(hidden, missing, "{call}");
                assert_eq!(hidden.unwrap_err().1, "permission_denied", "{call}");
            }
            subject => {
                assert_eq!(hidden, missing, "{call}");
                // The same as for one that does not exist, also for those who may see everything.
                assert_eq!(hidden, answer(&all, "b-9").await, "{call}");
                let code = hidden.map_err(|(code, ..)| code);
                let expected = if subject == "quiet" { Ok(()) } else { Err(Code::NotFound) };
                assert_eq!(code.map(drop), expected, "{call}");
            }
        }
        if *subject != "store" && *subject != "ticket" {
            let inside = scoped.call(call, "a-1").await;
            assert!(!inside.is_err_and(|status| is_refused(&status)), "{call} inside the scope");
        }
    }
    assert_eq!(all.names().await.unwrap(), ["a-1", "b-1"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_differ_by_scope() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "b-1", "c-1"]).await;
    let token = key(folder.path(), &["a-*:read,write", "b-?:read", "c-*:write"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let session = Session::new(&server, &token);
    assert_eq!(session.names().await.unwrap(), ["a-1", "b-1"]);
    let created = session.call("sequence_create", "a-2").await;
    assert!(created.is_ok(), "{created:?}");
    let denied = session.call("sequence_create", "b-2").await.unwrap_err();
    assert!(is_refused(&denied) && denied.message().contains("`b-2`"), "{denied}");
    let denied = session.call("sequence_system_info", "c-1").await.unwrap_err();
    assert!(is_refused(&denied), "it may know of the sequence, and not read it: {denied}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_others_are_passed_over() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["b-1", "b-2", "b-3", "a-1"]).await;
    let token = key(folder.path(), &["a-*:read"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let session = Session::new(&server, &token);
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = session.act("event_list", json!({"limit": 1, "after": after})).await.unwrap();
        let events = page["events"].as_array().unwrap().clone();
        if events.is_empty() {
            break;
        }
        found.extend(events.into_iter().map(|event| event["sequence"].clone()));
        after = page["cursor"].as_str().map(str::to_owned);
    }
    assert!(found.len() >= 4 && found.iter().all(|name| name == "a-1"), "{found:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_of_anonymous_access() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let levels = [
        (AnonymousLevel::None, &[][..]),
        (AnonymousLevel::Read, &["read"]),
        (AnonymousLevel::Write, &["read", "write"]),
        (AnonymousLevel::All, &["read", "write", "delete", "admin"]),
    ];
    let weak = key(folder.path(), &["b-*:read"]).await;
    for (level, rights) in levels {
        let server = TestServer::start(Config { anonymous: Some(level), ..config(folder.path()) }).await;
        let session = Session::anonymous(&server);
        for (call, needs, _) in CALLS {
            let refused = session.call(call, "a-1").await.is_err_and(|status| is_refused(&status));
            assert_eq!(!refused, rights.contains(needs), "{call} at the level {level}");
        }
        let with_key = Session::new(&server, &weak);
        assert!(with_key.names().await.unwrap().is_empty(), "a key has its own rights and no others");
        let wrong = Session::with_text(&server, "wrong").names().await.unwrap_err();
        assert!(is_refused(&wrong), "a wrong key is noticed at the level {level}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_listener_decides_the_default() {
    for (host, is_open) in [("127.0.0.1", true), ("0.0.0.0", false)] {
        let folder = TempDir::new().unwrap();
        let server = Server::open(config(folder.path())).await.unwrap();
        let listener = TcpListener::bind((host, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            server.serve_tcp(listener, async { drop(stopped.await) }).await.unwrap();
            server.shutdown().await;
        });
        let client = connect(&format!("http://127.0.0.1:{port}")).await;
        let health = health(&client, None, port).await;
        assert!(health.is_ok(), "probes need no key: {health:?}");
        let session = Session { client, header: None };
        assert_eq!(session.names().await.is_ok(), is_open, "{host}");
        drop(session);
        stop.send(()).unwrap();
        serving.await.unwrap();
    }
}

async fn health(_: &Client, header: Option<(&'static str, String)>, port: u16) -> Result<(), tonic::Status> {
    let channel = tonic::transport::Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    let mut client = HealthClient::new(channel.connect().await.unwrap());
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    if let Some((name, value)) = header {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    client.check(request).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_have_their_own_level() {
    let folder = TempDir::new().unwrap();
    let token = key(folder.path(), &["a-*:read"]).await.text();
    let bearer = format!("Bearer {token}");
    for level in [MonitoringLevel::None, MonitoringLevel::Health, MonitoringLevel::Metrics] {
        let config = Config { monitoring: Some(level), ..config(folder.path()) };
        let server = Server::open(config).await.unwrap();
        let monitor = mosaico_server::HttpServer::new(Some(level));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = monitor.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        monitor.watch(&server);
        for (path, needed) in [
            ("/healthz", MonitoringLevel::Health),
            ("/readyz", MonitoringLevel::Health),
            ("/metrics", MonitoringLevel::Metrics),
        ] {
            let expected = if level >= needed { 200 } else { 401 };
            assert_eq!(ask_with(address, path, "").await.0, expected, "{path} at {level}");
            for (name, value) in [("Authorization", &bearer), ("mosaico-api-key-token", &token)] {
                let header = format!("{name}: {value}\r\n");
                assert_eq!(ask_with(address, path, &header).await.0, 200, "{path} with {name}");
            }
            let wrong = ask_with(address, path, "Authorization: Bearer x\r\n").await;
            assert!(wrong.0 == 401 && wrong.1.contains("API key"), "{path}: {wrong:?}");
        }
        assert_eq!(ask_with(address, "/other", "").await.0, 404);
        task.abort();
        server.shutdown().await;
    }
    // gRPC health, with and without a key.
    let config = Config { monitoring: Some(MonitoringLevel::None), ..closed(folder.path()) };
    let server = TestServer::start(config).await;
    let port: u16 = server.address.rsplit_once(':').unwrap().1.parse().unwrap();
    let refused = health(&server.client, None, port).await.unwrap_err();
    assert!(is_refused(&refused), "{refused}");
    health(&server.client, Some(("authorization", bearer)), port).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_prove_that_they_have_the_store() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    key(folder.path(), &["a-*:read"]).await;
    let server = TestServer::start(closed(folder.path())).await;
    let record = std::fs::read(folder.path().join("api-keys.json")).unwrap();
    let signer = Signer::new(&read::<ApiKeysRecord>(&record).unwrap().0.signing_secret).unwrap();
    let path = |method: &str| format!("/arrow.flight.protocol.FlightService/{method}");
    let session =
        |proof: String| Session { header: Some((PEER_HEADER, proof)), ..Session::anonymous(&server) };
    let proof = |method: &str| signer.peer_proof(&path(method), now_ns());
    assert_eq!(session(proof("ListFlights")).names().await.unwrap(), ["a-1"]);
    session(proof("DoGet")).call("DoGet", "a-1").await.unwrap();
    session(proof("DoAction")).call("catalog_rebuild", "a-1").await.unwrap();
    // A daemon reads for others; it changes nothing for them.
    let write = session(proof("DoAction")).call("sequence_create", "a-2").await.unwrap_err();
    assert!(is_refused(&write), "{write}");
    for bad in [proof("DoGet"), "1.00".into(), signer.peer_proof(&path("ListFlights"), 0)] {
        assert!(is_refused(&session(bad).names().await.unwrap_err()));
    }
    // A command on the same store.
    let rebuilt = mosaico_admin::rebuild(config(folder.path()), &Default::default(), &|_| ()).await.unwrap();
    assert_eq!(rebuilt.sequences, 1);
    server.stop().await;
}
