//! Lanes: what a server acknowledges, and when it is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow_flight::PutResult;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::{Body as HttpBody, Frame};
use mosaico_client::{Error, Lane, LaneBudget, LaneConfig};
use mosaico_types::ErrorKind;
use mosaico_wire::command::{PutAck, PutCommand};
use mosaico_wire::status::RETRY_HEADER;
use prost::Message;
use tonic::body::Body;

use crate::server::*;

fn config() -> LaneConfig {
    LaneConfig {
        max_batch_bytes: 1 << 20,
        max_batch_records: 1000,
        max_batch_age: Duration::from_millis(20),
        budget: LaneBudget::new(1 << 20, None),
        reconnect_timeout: Duration::from_millis(600),
    }
}

async fn lane(server: &Hostile) -> Lane {
    let put =
        PutCommand { resource_locator: "s/t".into(), key: "k".into(), resume: None, acknowledged: None };
    server.client().await.write(put, rows(&[]).schema(), config()).await.unwrap()
}

fn ack(durable_rows: u64) -> Frame<Bytes> {
    let ack = serde_json::to_vec(&PutAck { durable_rows, durable_bytes: 0 }).unwrap();
    frame(&PutResult { app_metadata: ack.into() }.encode_to_vec())
}

/// Waits for `count` messages of a request.
async fn received(mut body: Body, count: usize) -> Body {
    let (mut buffer, mut found) = (Vec::new(), 0);
    while found < count {
        let frame = std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context)).await;
        let Some(Ok(frame)) = frame else { break };
        buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
        while let Some((head, rest)) = buffer.split_at_checked(5) {
            let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
            if rest.len() < length {
                break;
            }
            buffer.drain(..5 + length);
            found += 1;
        }
    }
    body
}

/// A server that answers each put with `answer` after it received rows.
async fn after_rows(answer: impl Fn() -> Parts + Send + Sync + 'static) -> Hostile {
    let answer = Arc::new(answer);
    Hostile::start(move |method, request| {
        let (put, answer) = (method == "DoPut", Arc::clone(&answer));
        async move {
            if !put {
                return ok().into();
            }
            let parts = stream::once(async move {
                // The schema, then rows. Dropping the rest would reset the stream.
                let body = received(request.into_body(), 2).await;
                answer().chain(
                    stream::once(async move {
                        drop(body);
                        Frame::data(Bytes::new())
                    })
                    .filter(|_| std::future::ready(false)),
                )
            });
            parts.flatten().boxed().into()
        }
    })
    .await
}

async fn record(server: &Hostile) -> (Lane, Error) {
    let lane = lane(server).await;
    limited(lane.push_batches(&[rows(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])])).await.unwrap();
    let error = match limited(lane.flush()).await {
        Ok(()) => limited(lane.close()).await.expect_err("rows are lost, and nothing says so"),
        Err(error) => error,
    };
    (lane, error)
}

#[tokio::test]
async fn rows_that_were_not_sent_cannot_be_acknowledged() {
    let server = after_rows(|| stream::iter([ack(1000)]).chain(stream::pending()).boxed()).await;
    let (lane, error) = record(&server).await;
    assert!(error.message.contains("acknowledged 1000 rows, but only 10 were sent"), "{error}");
    assert!(error.message.contains("rows 0..10"), "{error}");
    assert_eq!(lane.stats().durable, 0);
}

#[tokio::test]
async fn acknowledgements_do_not_go_back() {
    let server = after_rows(|| stream::iter([ack(8), ack(3)]).chain(stream::pending()).boxed()).await;
    let (lane, error) = record(&server).await;
    assert!(error.message.contains("acknowledged 3 rows after"), "{error}");
    assert!(error.message.contains("rows 3..10"), "{error}");
    assert_eq!(lane.stats().durable, 3);
}

#[tokio::test]
async fn an_upload_does_not_end_before_its_rows_are_acknowledged() {
    for acknowledged in [vec![], vec![ack(4)]] {
        let parts: Vec<Bytes> = acknowledged.into_iter().map(|ack| ack.into_data().unwrap()).collect();
        let count = parts.len() * 4;
        let server =
            after_rows(move || stream::iter(parts.clone()).map(Frame::data).chain(ok()).boxed()).await;
        let lane = lane(&server).await;
        limited(lane.push_batches(&[rows(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])])).await.unwrap();
        let error = limited(lane.close()).await.expect_err("rows are lost, and nothing says so");
        assert!(error.message.contains(&format!("rows {count}..10")), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_acknowledges_is_a_timeout() {
    let junk = || frame(&PutResult { app_metadata: b"junk".as_slice().into() }.encode_to_vec());
    for answers in [vec![], vec![junk()]] {
        let answers: Vec<Bytes> = answers.into_iter().map(|part| part.into_data().unwrap()).collect();
        let silent = move || stream::iter(answers.clone()).map(Frame::data).chain(stream::pending()).boxed();
        let (_, error) = record(&after_rows(silent).await).await;
        assert!(matches!(error.kind, ErrorKind::Deadline | ErrorKind::Unavailable), "{error}");
        assert!(error.message.contains("rows 0..10"), "{error}");
    }
}

#[tokio::test]
async fn a_writer_survives_that_there_are_too_many_calls() {
    let puts = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&puts);
    let server = Hostile::start(move |method, request| {
        let number = if method == "DoPut" { counted.fetch_add(1, Ordering::Relaxed) } else { usize::MAX };
        async move {
            match number {
                usize::MAX => ok().into(),
                0 | 1 => trailers([
                    ("grpc-status", "8".to_owned()),
                    ("mosaico-error-code", "too_many".to_owned()),
                    (RETRY_HEADER, "50".to_owned()),
                ])
                .into(),
                // It resumes at row 0, receives all rows, and ends.
                _ => {
                    let rest = stream::once(async move {
                        received(request.into_body(), usize::MAX).await;
                        ack(10)
                    });
                    stream::iter([ack(0)]).chain(rest).chain(ok()).boxed().into()
                }
            }
        }
    })
    .await;
    let lane = lane(&server).await;
    limited(lane.push_batches(&[rows(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10])])).await.unwrap();
    limited(lane.close()).await.unwrap();
    assert_eq!((lane.stats().durable, puts.load(Ordering::Relaxed)), (10, 3));
}
