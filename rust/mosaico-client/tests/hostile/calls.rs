//! Calls without rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::Schema;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Location, Result as ActionResult, Ticket};
use futures::{StreamExt, stream};
use mosaico_client::{Client, Error, Security, Target, Timeouts};
use mosaico_types::{ErrorCode, ErrorKind, TimeWindow};
use mosaico_wire::API_KEY_HEADER;
use mosaico_wire::action::{Named, name};
use mosaico_wire::status::RETRY_HEADER;
use prost::Message;
use serde_json::Value;

use crate::server::*;

const KEY: &str = "msco_vrfeceju4lqivysxgaseefa3tsxs0vrl_1b676530";

fn message(message: &impl Message) -> Parts {
    stream::iter([frame(&message.encode_to_vec())]).chain(ok()).boxed()
}

async fn act(client: &Client, action: &str) -> Result<Option<Value>, Error> {
    limited(client.action(action, &Named { name: "s".into() })).await
}

async fn refusal(parts: impl Fn() -> Parts + Send + Sync + 'static) -> Error {
    let server = Hostile::answering(parts).await;
    act(&server.client().await, name::QUERY).await.unwrap_err()
}

async fn info_refusal(info: FlightInfo) -> Error {
    let server = Hostile::answering(move || message(&info)).await;
    limited(server.client().await.info("s", TimeWindow::ALL)).await.unwrap_err()
}

#[tokio::test]
async fn texts_of_errors_are_printable_and_short() {
    let error = refusal(|| status(5, "gone%1B[2J%1B]0;title%07%0Dover%E2%80%AEwritten")).await;
    assert_eq!(error.kind, ErrorKind::NotFound);
    assert!(!error.message.chars().any(|c| c.is_control() || c == '\u{202e}'), "{error:?}");
    // The library refuses headers of this size.
    let error = refusal(|| status(5, &"x".repeat(1 << 20))).await;
    assert!(error.message.len() < 64 << 10, "{} bytes", error.message.len());
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_timeout() {
    let begun = Instant::now();
    assert_eq!(refusal(|| stream::pending().boxed()).await.kind, ErrorKind::Deadline);
    assert_eq!(
        refusal(|| stream::iter([head_of(0, 100)]).chain(stream::pending()).boxed()).await.code,
        ErrorCode::Deadline
    );
    assert!(begun.elapsed() < 8 * ANSWER);
}

#[tokio::test]
async fn answers_are_limited() {
    let length = refusal(|| stream::iter([head_of(0, u32::MAX)]).chain(ok()).boxed()).await;
    assert_eq!(length.kind, ErrorKind::ResourceExhausted);
    for body in [b"\xff{".to_vec(), b"{}".to_vec(), vec![b'['; 1 << 20], br#"{"action": "other"}"#.to_vec()] {
        let answer = ActionResult { body: body.into() };
        assert_eq!(refusal(move || message(&answer)).await.kind, ErrorKind::Internal);
    }
    // Sequences for ever, with long names.
    let sequence = FlightInfo::new().with_descriptor(FlightDescriptor::new_path(vec!["x".repeat(1 << 20)]));
    let endless = frame(&sequence.encode_to_vec());
    let lists = AtomicUsize::new(0);
    let server = Hostile::start(move |_, _| {
        // The first list is that of the greeting, which is not read.
        let part = endless.data_ref().unwrap().clone();
        let parts = match lists.fetch_add(1, Ordering::Relaxed) {
            0 => ok(),
            _ => for_ever(http_body::Frame::data(part)).boxed(),
        };
        std::future::ready(parts.into())
    })
    .await;
    let error = limited(server.client().await.sequences()).await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::ResourceExhausted | ErrorKind::Deadline), "{error}");
}

#[tokio::test]
async fn malformed_facts_are_errors() {
    let schema = FlightInfo::new().try_with_schema(&Schema::empty()).unwrap();
    for bytes in [vec![], vec![0xff; 64], schema.schema[..schema.schema.len() - 9].to_vec()] {
        let info = FlightInfo { schema: bytes.into(), ..schema.clone() };
        assert_eq!(info_refusal(info).await.kind, ErrorKind::Internal);
    }
    let info = FlightInfo { app_metadata: b"{\"total_size_bytes\": -1}".as_slice().into(), ..schema.clone() };
    assert_eq!(info_refusal(info).await.kind, ErrorKind::Internal);
    for at in 0..schema.schema.len() {
        let mut bytes = schema.schema.to_vec();
        bytes[at] ^= 0xff;
        let info = FlightInfo { schema: bytes.into(), ..schema.clone() };
        let server = Hostile::answering(move || message(&info)).await;
        _ = limited(server.client().await.info("s", TimeWindow::ALL)).await;
    }
}

/// Endpoints and redirects lead to a second server; it never hears of the client.
#[tokio::test]
async fn the_key_is_sent_to_the_named_server_only() {
    let thief = Hostile::answering(ok).await;
    let port = thief.port;
    let keys = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&keys);
    let server = Hostile::start(move |method, request| {
        seen.fetch_add(
            usize::from(request.headers().get(API_KEY_HEADER).is_some_and(|key| key == KEY)),
            Ordering::Relaxed,
        );
        let other_host = format!("grpc://127.0.0.1:{port}/s/t");
        let endpoint = FlightEndpoint {
            ticket: Some(Ticket::new("t")),
            location: vec![Location { uri: other_host.clone() }],
            ..Default::default()
        };
        let info = FlightInfo::new().try_with_schema(&Schema::empty()).unwrap().with_endpoint(endpoint);
        let location = format!("http://127.0.0.1:{port}/");
        let parts = match method {
            "ListFlights" => ok(),
            "GetFlightInfo" => message(&info),
            _ => status(14, "moved"),
        };
        std::future::ready(Answer { headers: vec![("location", location)], parts })
    })
    .await;
    let secured =
        addresses([server.port]).with_security(Security::default().with_api_key(KEY).unwrap()).unwrap();
    let timeouts = Timeouts { connect: Duration::from_secs(3), answer: ANSWER };
    let client = Client::connect(Target::Tcp(secured), timeouts).await.unwrap();
    let error = limited(client.info("s", TimeWindow::ALL)).await.unwrap_err();
    assert!(error.kind == ErrorKind::Internal && error.message.contains("location"), "{error}");
    act(&client, name::QUERY).await.unwrap_err();
    assert_eq!(keys.load(Ordering::Relaxed), server.calls());
    assert!(server.calls() >= 3);
    assert_eq!(thief.calls(), 0);
}

fn too_many(pause_ms: i64) -> Parts {
    trailers([
        ("grpc-status", "8".to_owned()),
        ("grpc-message", "more than 5 calls per second".to_owned()),
        ("mosaico-error-code", "too_many".to_owned()),
        (RETRY_HEADER, pause_ms.to_string()),
    ])
}

#[tokio::test]
async fn a_call_that_is_one_of_too_many_is_repeated_after_the_pause() {
    let refusals = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&refusals);
    let created = br#"{"action": "sequence_create", "response": {"key": "k"}}"#;
    let server = Hostile::answering(move || match counted.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => too_many(150),
        _ => message(&ActionResult { body: created.as_slice().into() }),
    })
    .await;
    let client = server.client().await;
    let begun = Instant::now();
    // Also calls that change something: a refused one was not carried out.
    assert!(act(&client, name::SEQUENCE_CREATE).await.unwrap().is_some());
    assert!(begun.elapsed() >= Duration::from_millis(300), "the pauses are kept");
    assert_eq!(refusals.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_refusal_that_nothing_helps_against_is_an_error_at_once() {
    for pause_ms in [3_600_000, -1] {
        let error = refusal(move || too_many(pause_ms)).await;
        assert_eq!(error.code, ErrorCode::TooMany);
        assert!(error.message.contains("5 calls per second"), "{error}");
    }
}
