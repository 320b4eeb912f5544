//! Several addresses, some of which accept connections and do not serve.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use mosaico_client::ReadAhead;
use mosaico_types::ErrorKind;

use crate::server::*;

/// A server that serves, as far as these tests ask.
async fn good() -> Hostile {
    Hostile::answering(|| messages(encoded(&[rows(&[1, 2, 3])]))).await
}

#[tokio::test]
async fn an_address_that_accepts_and_does_not_answer_is_waited_for_once() {
    let (port, _accepting, accepted) = black_hole().await;
    let server = good().await;
    let client = limited(connect([port, server.port])).await.unwrap();
    let begun = Instant::now();
    // Streams open further connections.
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(limited(client.read(vec![1], ReadAhead::new(1 << 20, 20))).await.unwrap());
        limited(client.sequences()).await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(accepted.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_address_serves() {
    let (one, _accepting, _) = black_hole().await;
    let (two, _accepting_too, _) = black_hole().await;
    let begun = Instant::now();
    let error = limited(connect([one, two])).await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(error.kind.is_retryable(), "{error}");
    assert!(error.message.contains(&format!("127.0.0.1:{one}: the connection is open")), "{error}");
    assert!(error.message.contains(&format!("127.0.0.1:{two}: ")), "{error}");
}

#[tokio::test]
async fn a_daemon_without_its_store_is_left() {
    let calls = AtomicUsize::new(0);
    let lost = Hostile::start(move |_, _| {
        // It greets, then it loses its store.
        let parts = match calls.fetch_add(1, Ordering::Relaxed) {
            0 => ok(),
            _ => trailers([
                ("grpc-status", "14".to_owned()),
                ("mosaico-error-code", "store_unavailable".to_owned()),
            ]),
        };
        std::future::ready(parts.into())
    })
    .await;
    let server = good().await;
    let client = limited(connect([lost.port, server.port])).await.unwrap();
    assert_eq!(lost.calls(), 1);
    for _ in 0..5 {
        limited(client.sequences()).await.unwrap();
        let mut stream = limited(client.read(vec![1], ReadAhead::new(1 << 20, 1))).await.unwrap();
        assert_eq!(limited(stream.next()).await.unwrap().unwrap().num_rows(), 3);
    }
    assert_eq!(lost.calls(), 2, "one call finds out for all");
}

#[tokio::test]
async fn a_daemon_that_answers_nothing_but_the_first_call_costs_one_timeout() {
    let server = Hostile::start(|method, _| {
        let parts = if method == "ListFlights" { futures::stream::pending().boxed() } else { ok() };
        std::future::ready(parts.into())
    })
    .await;
    let error = limited(connect([server.port])).await.map(drop);
    // The greeting needs the headers only.
    assert!(error.is_ok());
    let client = server.client().await;
    assert_eq!(limited(client.sequences()).await.unwrap_err().kind, ErrorKind::Deadline);
}
