//! Sequences over HTTP, with signed links, API keys, and neither.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use mosaico_server::{AnonymousLevel, Config, HttpServer, Limits, ManualClock};
use mosaico_types::access::KeyLimits;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Code, Status};

use crate::common::*;
use crate::keyed::*;

/// A daemon with an HTTP port.
pub(crate) struct Daemon {
    pub(crate) server: TestServer,
    pub(crate) http: SocketAddr,
}

impl Daemon {
    pub(crate) async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = listener.local_addr().unwrap();
        let serving = HttpServer::new(None);
        let config = Config { http_url: Some(format!("http://{http}")), ..config };
        let server = TestServer::start_with(config, |server| serving.watch(server)).await;
        tokio::spawn(async move { serving.serve(listener).await });
        Self { server, http }
    }

    /// The path and query of a new link.
    pub(crate) async fn link(&self, session: &Session, body: Value) -> Result<String, Status> {
        let answer = session.act("sequence_link", body).await?;
        let url = answer["url"].as_str().unwrap().to_owned();
        Ok(url.strip_prefix(&format!("http://{}", self.http)).expect("the address of the port").to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // The server may answer before it has the whole body.
        drop(stream.write_all(body.as_bytes()).await);
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes).await);
        Answer::parse(&bytes)
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body arrived as a whole.
    is_whole: bool,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut rest = &bytes[end + 4..];
        if !head.contains("transfer-encoding: chunked") {
            return Self { status, head, body: rest.to_vec(), is_whole: true };
        }
        let mut body = Vec::new();
        let mut is_whole = false;
        while let Some(line) = rest.windows(2).position(|part| part == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            rest = &rest[line + 2..];
            is_whole = size == 0;
            let here = size.min(rest.len());
            body.extend_from_slice(&rest[..here]);
            rest = rest.get(size + 2..).unwrap_or_default();
        }
        Self { status, head, body, is_whole }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn batches(&self) -> Vec<RecordBatch> {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.is_whole && self.head.contains("content-type: application/vnd.apache.arrow.stream"));
        StreamReader::try_new(self.body.as_slice(), None).unwrap().map(Result::unwrap).collect()
    }
}

/// `/api/v1/sequences/a-1?link=...` as the data of a topic.
fn data(link: &str, topic: &str, more: &str) -> String {
    let (path, query) = link.split_once('?').unwrap();
    format!("{path}/topics/{}/data?{query}{more}", topic.replace('/', "%2F"))
}

pub(crate) async fn reader(folder: &Path, daemon: &Daemon) -> Session {
    let session = Session::new(&daemon.server, &key(folder, &["*:read"]).await);
    session.until_refused(false).await;
    session
}

async fn record_two_topics(folder: &Path, name: &str) {
    let server = TestServer::start(config(folder)).await;
    let key = create_sequence(&server.client, name).await;
    for topic in ["deep/t", "t"] {
        let locator = format!("{name}/{topic}");
        let topic = create_topic(&server.client, &locator, &key).await;
        put(&server.client, &locator, &topic, &[rows(&[1, 2, 3], 1)]).await.unwrap();
    }
    act(&server.client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_opens_its_sequence_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    record_two_topics(folder.path(), "a-1").await;
    record(folder.path(), &["a-2"]).await;
    let daemon = Daemon::start(closed(folder.path())).await;
    let session = reader(folder.path(), &daemon).await;
    let link = daemon.link(&session, json!({"name": "a-1", "expires_in_s": 60})).await.unwrap();
    let page = daemon.get(&link).await;
    assert_eq!(page.status, 200, "{page:?}");
    for header in
        ["cache-control: private, no-store", "referrer-policy: no-referrer", "nosniff", "x-request-id: "]
    {
        assert!(page.head.contains(header), "{header}: {}", page.head);
    }
    assert!(!page.head.contains("access-control"), "{}", page.head);
    let page = page.json();
    assert_eq!((&page["name"], &page["user_metadata"]), (&json!("a-1"), &json!({"who": "test"})));
    assert_eq!(page["time_range"], json!({"min_ns": 1, "max_ns": 3}));
    let topics: Vec<_> = page["topics"].as_array().unwrap().iter().map(|topic| &topic["name"]).collect();
    assert_eq!(topics, ["deep/t", "t"]);
    assert_eq!(page["topics"][0]["data"], "/api/v1/sequences/a-1/topics/deep%2Ft/data");
    assert_eq!(page["topics"][0]["rows"], 3);

    let flight = pairs(&get_window_with(&session, "a-1/deep/t").await);
    for _ in 0..2 {
        assert_eq!(
            pairs(&daemon.get(&data(&link, "deep/t", "")).await.batches()),
            flight,
            "also a second time"
        );
    }
    let part = daemon.get(&data(&link, "t", "&from=2&to=3&columns=value")).await.batches();
    assert_eq!(pairs(&part), [(2, 2)]);
    let head = daemon.ask("HEAD", &data(&link, "t", ""), "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(daemon.ask("POST", &link, "").await.status, 405);

    let other = link.replace("a-1?", "a-2?");
    let (_, text) = link.split_once("?link=").unwrap();
    let mut altered = text.to_owned().into_bytes();
    altered[20] ^= 1;
    let altered = format!("/api/v1/sequences/a-1?link={}", String::from_utf8(altered).unwrap());
    let refused = [
        other.clone(),
        data(&other, "t", ""),
        link.replace("a-1?", "a-9?"),
        altered,
        "/api/v1/sequences/a-1?link=".to_owned(),
        "/api/v1/sequences/a-1?link=x".to_owned(),
        "/api/v1/sequences/a-1".to_owned(),
        "/api/v1/sequences/a-9".to_owned(),
        "/api/v1/sequences/a-1/topics/t/data".to_owned(),
    ];
    let mut answers = Vec::new();
    for path in refused {
        let answer = daemon.get(&path).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "permission_denied"), "{path}");
        answers.push(answer.body);
    }
    let wrong_key = daemon.ask("GET", "/api/v1/sequences/a-1", "authorization: Bearer x\r\n").await;
    answers.push(wrong_key.body);
    answers.dedup();
    assert_eq!(answers.len(), 1, "one text for all: {answers:?}");
    assert_eq!(daemon.get("/api/v1/sequences").await.status, 403);
    daemon.stop().await;
}

/// The rows of a topic by Flight.
async fn get_window_with(session: &Session, locator: &str) -> Vec<RecordBatch> {
    let ticket = arrow_flight::Ticket { ticket: session.ticket(locator).await.unwrap().into() };
    let messages = session.client.clone().do_get(session.request(ticket)).await.unwrap().into_inner();
    let messages = futures::TryStreamExt::map_err(messages, |status| {
        arrow_flight::error::FlightError::Tonic(Box::new(status))
    });
    let batches = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(messages);
    futures::TryStreamExt::try_collect(batches).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_may_be_limited_to_a_window_and_topics() {
    let folder = TempDir::new().unwrap();
    record_two_topics(folder.path(), "a-1").await;
    let daemon = Daemon::start(closed(folder.path())).await;
    let session = reader(folder.path(), &daemon).await;
    let body = json!({
        "name": "a-1", "expires_in_s": 60, "timestamp_ns_start": 2, "timestamp_ns_end": 3, "topics": ["/deep/t"],
    });
    let link = daemon.link(&session, body).await.unwrap();
    let page = daemon.get(&link).await.json();
    assert_eq!(page["topics"].as_array().unwrap().len(), 1);
    assert_eq!(page["topics"][0]["time_range"], json!({"min_ns": 2, "max_ns": 2}));
    assert_eq!(page["topics"][0]["rows"], Value::Null, "the number of all rows is outside of the link");
    for more in ["", "&from=2", "&from=2&to=3"] {
        assert_eq!(pairs(&daemon.get(&data(&link, "deep/t", more)).await.batches()), [(2, 2)], "{more}");
    }
    let wider = ["&from=1", "&to=4", "&from=-9223372036854775808", "&from=2&to=9223372036854775807"];
    let refused = wider.map(|more| data(&link, "deep/t", more));
    for path in
        refused.into_iter().chain([data(&link, "t", ""), data(&link, "none", ""), data(&link, "deep", "")])
    {
        let answer = daemon.get(&path).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "permission_denied"), "{path}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_end_with_their_time_their_key_and_their_salt() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let clock = Arc::new(ManualClock::default());
    let daemon =
        Daemon::start(Config { clock: Arc::<ManualClock>::clone(&clock), ..closed(folder.path()) }).await;
    let token = key(folder.path(), &["*:read"]).await;
    let session = Session::new(&daemon.server, &token);
    session.until_refused(false).await;
    let request = |seconds: u64| json!({"name": "a-1", "expires_in_s": seconds});
    let short = daemon.link(&session, request(60)).await.unwrap();
    let long = daemon.link(&session, request(86_400)).await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(daemon.get(&short).await.status, 200);
    clock.advance(Duration::from_secs(1));
    assert_eq!(daemon.get(&short).await.status, 403);
    assert_eq!(daemon.get(&long).await.status, 200);

    keys(folder.path()).revoke_links().await.unwrap();
    until(async || daemon.get(&long).await.status == 403).await;
    let renewed = daemon.link(&session, request(60)).await.unwrap();
    assert_eq!(daemon.get(&renewed).await.status, 200);
    keys(folder.path()).revoke(token.fingerprint()).await.unwrap();
    until(async || daemon.get(&renewed).await.status == 403).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_readers_with_a_key_create_links() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "b-1"]).await;
    let daemon =
        Daemon::start(Config { anonymous: Some(AnonymousLevel::Read), ..config(folder.path()) }).await;
    let request = json!({"name": "a-1", "expires_in_s": 60});
    let anonymous = daemon.link(&Session::anonymous(&daemon.server), request.clone()).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::FailedPrecondition, "{anonymous}");
    let scoped = Session::new(&daemon.server, &key(folder.path(), &["b-*:read", "a-*:write"]).await);
    scoped.until_refused(false).await;
    assert!(is_refused(&daemon.link(&scoped, request).await.unwrap_err()));
    let missing = json!({"name": "b-9", "expires_in_s": 60});
    assert_eq!(daemon.link(&scoped, missing).await.unwrap_err().code(), Code::NotFound);
    let endless = json!({"name": "b-1", "expires_in_s": u64::MAX});
    assert_eq!(daemon.link(&scoped, endless).await.unwrap_err().code(), Code::InvalidArgument);
    // Everybody may read here, so pages need no link.
    assert_eq!(daemon.get("/api/v1/sequences/a-1").await.status, 200);
    daemon.stop().await;

    let server = TestServer::start(closed(folder.path())).await;
    let session = Session::new(&server, &key(folder.path(), &["*:read"]).await);
    session.until_refused(false).await;
    let no_port = session.act("sequence_link", json!({"name": "a-1", "expires_in_s": 60})).await.unwrap_err();
    assert!(no_port.message().contains("--http-port"), "{no_port}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_pages_within_their_scopes_and_limits() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1", "b-1"]).await;
    let slow = KeyLimits { call_rate: Some(1), ..KeyLimits::default() };
    let token = key_with(folder.path(), &["a-*:read"], slow).await;
    let limits = Limits::default();
    let daemon = Daemon::start(Config { limits, ..closed(folder.path()) }).await;
    let header = format!("authorization: Bearer {}\r\n", token.text());
    let ask = async |path: &str| daemon.ask("GET", path, &header).await;
    until(async || ask("/api/v1/sequences/a-1").await.status == 200).await;
    let mut limited = None;
    for _ in 0..20 {
        let answer = ask("/api/v1/sequences/a-1").await;
        limited = limited.or((answer.status == 429).then_some(answer));
    }
    let limited = limited.expect("a refusal");
    assert_eq!(
        (limited.code().as_str(), &limited.json()["error"]["limit"]),
        ("too_many", &json!("max-key-call-rate"))
    );
    assert!(limited.head.contains("retry-after: 1"), "{}", limited.head);

    let other = key(folder.path(), &["a-*:read"]).await;
    let header = format!("mosaico-api-key-token: {}\r\n", other.text());
    let ask = async |path: &str| daemon.ask("GET", path, &header).await;
    until(async || ask("/api/v1/sequences/a-1").await.status == 200).await;
    for (path, status, code) in [
        ("/api/v1/sequences/b-1", 404, "sequence_not_found"),
        ("/api/v1/sequences/a-9", 404, "sequence_not_found"),
        ("/api/v1/sequences/a.1", 400, "bad_name"),
        ("/api/v1/sequences/a-1/topics/none/data", 404, "topic_not_found"),
        ("/api/v1/sequences/a-1/topics/t/data?from=now", 400, "invalid_input"),
        ("/api/v1/sequences/a-1/topics/t/data?form=1", 400, "invalid_input"),
        ("/api/v1/sequences/a-1/topics/t/data?to=1&to=2", 400, "invalid_input"),
        ("/api/v1/sequences/a-1/topics/t/data?columns=none", 400, "invalid_input"),
    ] {
        let answer = ask(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
    assert_eq!(pairs(&ask("/api/v1/sequences/a-1/topics/t/data").await.batches()), [(1, 1), (2, 2), (3, 3)]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_read_only_if_a_setting_says_so() {
    let folder = TempDir::new().unwrap();
    record(folder.path(), &["a-1"]).await;
    let http_allow_origin = Some("https://player.example".to_owned());
    let daemon = Daemon::start(Config { http_allow_origin, ..config(folder.path()) }).await;
    let answer = daemon.ask("GET", "/api/v1/sequences/a-1", "origin: https://other.example\r\n").await;
    assert!(answer.head.contains("access-control-allow-origin: https://player.example"), "{}", answer.head);
    assert!(answer.head.contains("vary: origin"), "{}", answer.head);
    daemon.stop().await;
}

/// Begins a download that is larger than the buffers of the connection, and reads its first bytes.
async fn begun(daemon: &Daemon, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = vec![0; 100_000];
    stream.read_exact(&mut first).await.unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first[..300]));
    stream
}

async fn record_large(folder: &Path) {
    let server = TestServer::start(config(folder)).await;
    let key = create_sequence(&server.client, "a-1").await;
    let topic = create_topic(&server.client, "a-1/t", &key).await;
    let batches: Vec<_> = (0..80).map(|time| blobs(&[time], 1 << 20)).collect();
    put(&server.client, "a-1/t", &topic, &batches).await.unwrap();
    act(&server.client, "sequence_finalize", json!({"name": "a-1", "key": key})).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_end_with_their_client_and_their_key() {
    let folder = TempDir::new().unwrap();
    record_large(folder.path()).await;
    let daemon = Daemon::start(closed(folder.path())).await;
    let token = key(folder.path(), &["*:read"]).await;
    let session = Session::new(&daemon.server, &token);
    session.until_refused(false).await;
    let link = daemon.link(&session, json!({"name": "a-1", "expires_in_s": 60})).await.unwrap();
    let path = data(&link, "t", "");
    let active = async || {
        let metrics = daemon.get("/metrics").await;
        let text = String::from_utf8(metrics.body).unwrap();
        let line = text.lines().find(|line| line.starts_with("mosaico_calls_active{method=\"GET\"}"));
        line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
    };
    let download = begun(&daemon, &path).await;
    assert_eq!(active().await, 1);
    drop(download);
    eventually("the download ends with its client", async || active().await == 0).await;

    let mut download = begun(&daemon, &path).await;
    keys(folder.path()).revoke(token.fingerprint()).await.unwrap();
    // The client reads so slowly that the revocation ends the download before the rows do.
    let (mut some, mut last) = (vec![0; 256 << 10], Vec::new());
    eventually("the end", async || match download.read(&mut some).await {
        Ok(0) | Err(_) => true,
        Ok(bytes) => {
            last = some[..bytes].to_vec();
            false
        }
    })
    .await;
    assert!(!last.ends_with(b"0\r\n\r\n"), "an interrupted download must not look whole");
    assert_eq!(daemon.get(&path).await.status, 403);
    daemon.stop().await;
}
