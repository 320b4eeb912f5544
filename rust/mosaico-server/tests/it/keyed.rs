//! A server that wants API keys, and clients that have one.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use arrow_flight::{Action, Criteria, FlightDescriptor, Ticket};
use futures::{StreamExt, TryStreamExt};
use mosaico_admin::{ApiKeys, Author, KeyState, NewKey};
use mosaico_server::{AnonymousLevel, Config};
use mosaico_types::access::{KeyLimits, Scope, Token};
use mosaico_types::now_ns;
use mosaico_wire::API_KEY_HEADER;
use mosaico_wire::status::ERROR_HEADER;
use serde_json::{Value, json};
use tonic::{Code, Request, Status};

use crate::common::*;

/// How long a change of keys may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Every action and RPC on data, with the right that it needs and its subject.
pub(crate) const CALLS: &[(&str, &str, &str)] = &[
    ("ListFlights", "read", "visible"),
    ("GetFlightInfo", "read", "sequence"),
    ("GetFlightInfo of a topic", "read", "sequence"),
    ("DoGet", "read", "ticket"),
    ("DoPut", "write", "sequence"),
    ("sequence_create", "write", "new"),
    ("sequence_finalize", "write", "sequence"),
    ("sequence_abort", "write", "sequence"),
    ("sequence_delete", "delete", "sequence"),
    ("sequence_system_info", "read", "sequence"),
    ("sequence_notify_create", "write", "sequence"),
    ("sequence_notify_list", "read", "quiet"),
    ("sequence_notify_purge", "delete", "quiet"),
    ("topic_create", "write", "sequence"),
    ("topic_delete", "delete", "sequence"),
    ("topic_system_info", "read", "sequence"),
    ("topic_notify_create", "write", "sequence"),
    ("topic_notify_list", "read", "quiet"),
    ("topic_notify_purge", "delete", "quiet"),
    ("query", "read", "visible"),
    ("layer_create", "write", "store"),
    ("layer_update", "write", "store"),
    ("layer_delete", "delete", "store"),
    ("layer_list", "read", "store"),
    ("event_list", "read", "visible"),
    ("sequence_keep_alive", "write", "sequence"),
    ("sequence_end", "write", "sequence"),
    ("sequence_link", "read", "sequence"),
    ("catalog_rebuild", "admin", "store"),
];

/// A configuration without anonymous access.
pub(crate) fn closed(folder: &Path) -> Config {
    Config { anonymous: Some(AnonymousLevel::None), ..config(folder) }
}

pub(crate) fn keys(folder: &Path) -> ApiKeys {
    let author = Author { who: "user 7".into(), from: "desk".into() };
    ApiKeys::create_store(&config(folder), author).unwrap()
}

/// Creates a key with these scopes.
pub(crate) async fn key(folder: &Path, scopes: &[&str]) -> Token {
    key_with(folder, scopes, KeyLimits::default()).await
}

/// Creates a key with limits of its own.
pub(crate) async fn key_with(folder: &Path, scopes: &[&str], limits: KeyLimits) -> Token {
    let scopes = scopes.iter().map(|text| Scope::parse(text, None).unwrap()).collect();
    let new = NewKey { description: "test".into(), scopes, limits, expires_ns: None };
    keys(folder).create(new).await.unwrap().0
}

pub(crate) async fn revoked(folder: &Path) -> Token {
    let token = key(folder, &["*:read,write,delete,admin"]).await;
    keys(folder).revoke(token.fingerprint()).await.unwrap();
    token
}

pub(crate) async fn expired(folder: &Path) -> Token {
    let scopes = vec![Scope::parse("*:read,write,delete,admin", None).unwrap()];
    let expires_ns = Some(now_ns() + 50_000_000);
    let new = NewKey { description: String::new(), scopes, limits: KeyLimits::default(), expires_ns };
    let (token, _) = keys(folder).create(new).await.unwrap();
    until(async || keys(folder).status(token.fingerprint()).await.unwrap().state == KeyState::Expired).await;
    token
}

/// Waits until a condition is true.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < TIME_LIMIT, "it does not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A token with the fingerprint of another one and a different secret.
pub(crate) fn forged(token: &Token) -> Token {
    let half = |number: u32, letter: char| format!("{}{number:012}", String::from(letter).repeat(4));
    let sum = |text: &str| {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(text.as_bytes());
        hasher
    };
    // CRC-32 is linear: the sum of both halves is a function of the first one, xor the sum of the second.
    let (target, probe) = (u32::from_str_radix(&token.fingerprint().to_string(), 16).unwrap(), half(0, 'p'));
    let firsts: HashMap<u32, u32> = (0..1 << 18)
        .map(|number| {
            let mut hasher = sum(&half(number, 'f'));
            hasher.combine(&sum(&probe));
            (hasher.finalize() ^ sum(&probe).finalize(), number)
        })
        .collect();
    let found = (0..1 << 22).find_map(|number| {
        let second = half(number, 's');
        let first = firsts.get(&(target ^ sum(&second).finalize()))?;
        Token::parse(&format!("msco_{}{second}_{}", half(*first, 'f'), token.fingerprint()))
    });
    found.expect("a collision")
}

/// A caller.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Header and value.
    pub(crate) header: Option<(&'static str, String)>,
}

impl Session {
    pub(crate) fn anonymous(server: &TestServer) -> Self {
        Self { client: server.client.clone(), header: None }
    }

    pub(crate) fn new(server: &TestServer, token: &Token) -> Self {
        Self::with_text(server, &token.text())
    }

    pub(crate) fn with_text(server: &TestServer, text: &str) -> Self {
        Self { client: server.client.clone(), header: Some((API_KEY_HEADER, text.to_owned())) }
    }

    pub(crate) fn request<T>(&self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        if let Some((name, value)) = &self.header {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    pub(crate) async fn act(&self, action: &str, body: Value) -> Result<Value, Status> {
        let action = Action { r#type: action.to_owned(), body: body.to_string().into() };
        let answers = self.client.clone().do_action(self.request(action)).await?.into_inner();
        let answers: Vec<_> = answers.try_collect().await?;
        let mut answer: Value = serde_json::from_slice(&answers.last().unwrap().body).unwrap();
        Ok(answer["response"].take())
    }

    pub(crate) async fn names(&self) -> Result<Vec<String>, Status> {
        let flights = self.client.clone().list_flights(self.request(Criteria::default())).await?.into_inner();
        flights.map_ok(|info| info.flight_descriptor.unwrap().path[0].clone()).try_collect().await
    }

    pub(crate) async fn ticket(&self, locator: &str) -> Result<Vec<u8>, Status> {
        let descriptor = FlightDescriptor::new_cmd(json!({"resource_locator": locator}).to_string());
        let info = self.client.clone().get_flight_info(self.request(descriptor)).await?.into_inner();
        Ok(info.endpoint[0].ticket.clone().unwrap().ticket.to_vec())
    }

    /// The number of messages behind a ticket.
    pub(crate) async fn read(&self, ticket: Vec<u8>) -> Result<usize, Status> {
        let ticket = Ticket { ticket: ticket.into() };
        let messages = self.client.clone().do_get(self.request(ticket)).await?.into_inner();
        Ok(messages.try_collect::<Vec<_>>().await?.len())
    }

    /// Makes one of [`CALLS`] on the sequence `name`.
    pub(crate) async fn call(&self, call: &str, name: &str) -> Result<Value, Status> {
        let locator = format!("{name}/t");
        let no_key = "00000000-0000-4000-8000-000000000000";
        let body = match call {
            "ListFlights" => return self.names().await.map(|names| json!(names)),
            "GetFlightInfo" => return self.ticket(name).await.map(|_| json!({})),
            "GetFlightInfo of a topic" => return self.ticket(&locator).await.map(|_| json!({})),
            "DoGet" => {
                let plain = mosaico_wire::ticket::Ticket {
                    locator,
                    window: mosaico_types::TimeWindow::ALL,
                    selection: mosaico_wire::select::Selection::default(),
                };
                return self.read(plain.encode()).await.map(|rows| json!(rows));
            }
            "DoPut" => {
                let messages = put_messages(
                    Some(put_command(&locator, no_key)),
                    rows(&[1], 1).schema(),
                    futures::stream::iter([rows(&[1], 1)]),
                );
                let answers = self.client.clone().do_put(self.request(messages)).await?.into_inner();
                return answers.try_collect::<Vec<_>>().await.map(|answers| json!(answers.len()));
            }
            "sequence_create" => json!({"name": name, "user_metadata": {}}),
            "sequence_finalize" | "sequence_abort" | "sequence_keep_alive" | "sequence_end" => {
                json!({"name": name, "key": no_key})
            }
            "sequence_delete" | "sequence_system_info" | "sequence_notify_list" | "sequence_notify_purge" => {
                json!({"name": name})
            }
            "topic_delete" | "topic_system_info" | "topic_notify_list" | "topic_notify_purge" => {
                json!({"name": locator})
            }
            "sequence_notify_create" => json!({"name": name, "notify_type": "error", "msg": "m"}),
            "topic_notify_create" => json!({"name": locator, "notify_type": "error", "msg": "m"}),
            "topic_create" => json!({
                "name": locator, "sequence_key": no_key, "serialization_format": "default",
                "ontology_tag": "test", "user_metadata": {},
            }),
            "sequence_link" => json!({"name": name, "expires_in_s": 60}),
            "query" => json!({"sequence": {"created_timestamp": {"$geq": 0}}}),
            "layer_create" => json!({"name": "layer", "description": ""}),
            "layer_update" => json!({"prev_name": "none", "curr_name": "none", "curr_description": ""}),
            "layer_delete" => json!({"name": "none"}),
            "layer_list" | "catalog_rebuild" => json!({}),
            "event_list" => json!({"limit": 100}),
            other => panic!("{other}"),
        };
        self.act(call, body).await
    }

    /// Waits until a call is refused for lack of a valid key, or is not any more.
    pub(crate) async fn until_refused(&self, expected: bool) {
        let is_unknown = |status: &Status| status.message().contains("valid API key");
        until(async || self.names().await.is_err_and(|status| is_unknown(&status)) == expected).await;
    }
}

/// The gRPC code, the machine code and the text of a status, without the name `name`.
pub(crate) fn answer_of(status: &Status, name: &str) -> (Code, String, String) {
    let machine = status.metadata().get(ERROR_HEADER).map(|value| value.to_str().unwrap().to_owned());
    (status.code(), machine.unwrap_or_default(), status.message().replace(name, "NAME"))
}

/// Whether the access rules refused a call. The key of a sequence is another matter.
pub(crate) fn is_refused(status: &Status) -> bool {
    let (code, machine, _) = answer_of(status, "");
    code == Code::PermissionDenied && machine == "permission_denied"
}

/// Records finalized sequences with a topic `t` of three rows each.
pub(crate) async fn record(folder: &Path, names: &[&str]) {
    let server = TestServer::start(config(folder)).await;
    for name in names {
        let key = create_sequence(&server.client, name).await;
        let locator = format!("{name}/t");
        let topic = create_topic(&server.client, &locator, &key).await;
        put(&server.client, &locator, &topic, &[rows(&[1, 2, 3], 1)]).await.unwrap();
        act(&server.client, "sequence_finalize", json!({"name": name, "key": key})).await.unwrap();
    }
    server.stop().await;
}

/// Reads the messages of a stream until it ends; returns the error with which it ends.
pub(crate) async fn ending<T>(mut stream: tonic::Streaming<T>) -> Option<Status> {
    loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(status)) => return Some(status),
            None => return None,
        }
    }
}
