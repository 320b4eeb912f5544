//! Streams of rows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body::Frame;
use mosaico_client::{Error, Merge, ReadAhead, Step};
use mosaico_types::{ErrorCode, ErrorKind};
use mosaico_wire::damage::{DamagedRows, skipped_message};
use mosaico_wire::ipc::ZERO_RUNS;

use crate::server::*;

const BUDGET: usize = 1 << 20;

/// Reads everything; the number of rows and the error.
async fn read(parts: impl Fn() -> Parts + Send + Sync + 'static) -> (usize, Option<Error>) {
    let server = Hostile::answering(parts).await;
    let client = server.client().await;
    limited(async {
        let mut stream = match client.read(vec![1], ReadAhead::new(BUDGET, 1)).await {
            Ok(stream) => stream,
            Err(error) => return (0, Some(error)),
        };
        let mut rows = 0;
        loop {
            match stream.next().await {
                Ok(Some(batch)) => rows += batch.num_rows(),
                Ok(None) => {
                    assert!(stream.next().await.unwrap().is_none(), "the end stays the end");
                    return (rows, None);
                }
                Err(error) => {
                    assert_eq!(stream.next().await.unwrap_err(), error, "an error stays");
                    return (rows, Some(error));
                }
            }
        }
    })
    .await
}

async fn refusal(parts: impl Fn() -> Parts + Send + Sync + 'static) -> Error {
    read(parts).await.1.expect("an error")
}

/// The schema and one batch, then `rest`.
fn begun(rest: impl futures::Stream<Item = Frame<Bytes>> + Send + 'static) -> Parts {
    let begin: Vec<_> = encoded(&[rows(&[1, 2, 3])]).iter().map(|message| frame(&prost(message))).collect();
    stream::iter(begin).chain(rest).boxed()
}

fn prost(message: &FlightData) -> Vec<u8> {
    prost::Message::encode_to_vec(message)
}

#[tokio::test]
async fn a_good_stream_is_read() {
    assert_eq!(read(|| messages(encoded(&[rows(&[1, 2]), rows(&[3])]))).await, (3, None));
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused() {
    for len in [u32::MAX, (1 << 30) + 1] {
        let (count, error) = read(move || begun(stream::iter([head_of(0, len)]).chain(ok()))).await;
        assert_eq!((count, error.unwrap().kind), (3, ErrorKind::ResourceExhausted), "{len}");
    }
}

#[tokio::test]
async fn topics_together_do_not_exceed_the_budget() {
    // Each has a message of a gigabyte, and begins to send it.
    let sent = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&sent);
    let server = Hostile::answering(move || {
        let counted = Arc::clone(&counted);
        let zeros = for_ever(frame(&[0; 64 << 10])).inspect(move |part| {
            counted.fetch_add(part.data_ref().unwrap().len(), Ordering::Relaxed);
        });
        begun(stream::iter([head_of(0, 1 << 30)]).chain(zeros.take(64)).chain(stream::pending()))
    })
    .await;
    let client = server.client().await;
    let reader = ReadAhead::new(BUDGET, 4);
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(limited(client.read(vec![1], reader.clone())).await.unwrap());
    }
    let mut refused = 0;
    for stream in &mut streams {
        assert!(limited(stream.next()).await.unwrap().is_some());
        let error = limited(stream.next()).await.unwrap_err();
        refused += usize::from(error.code == ErrorCode::TooLarge);
    }
    assert!(refused >= 3, "{refused} of 4 streams were refused");
}

#[tokio::test]
async fn bombs_are_not_unpacked() {
    // Zero runs: 12 bytes that stand for a terabyte, and for a little more than the limit.
    for whole in [1_u64 << 40, (1 << 30) + (1 << 20) + 1] {
        let mut body = whole.to_le_bytes().to_vec();
        body.extend(0_u32.to_le_bytes());
        let error = refusal(move || {
            let mut message = encoded(&[rows(&[1])]).pop().unwrap();
            (message.data_body, message.app_metadata) = (body.clone().into(), ZERO_RUNS.into());
            begun(stream::iter([frame(&prost(&message))]).chain(ok()))
        })
        .await;
        assert_eq!(error.code, ErrorCode::TooLarge, "{error}");
    }
    // A compressed message of gRPC, with and without the header that says so.
    for headers in [vec![("grpc-encoding", "gzip".to_owned())], vec![]] {
        let server = Hostile::start(move |method, _| {
            let parts = match method {
                "ListFlights" => ok(),
                _ => stream::iter([head_of(1, 100)]).chain(ok()).boxed(),
            };
            std::future::ready(Answer { headers: headers.clone(), parts })
        })
        .await;
        let client = connect([server.port]).await;
        let error = match client {
            Ok(client) => limited(client.read(vec![1], ReadAhead::new(BUDGET, 1))).await.err().unwrap(),
            Err(error) => error,
        };
        assert!(matches!(error.kind, ErrorKind::Internal | ErrorKind::Unimplemented), "{error}");
    }
}

#[tokio::test]
async fn dictionaries_are_limited() {
    let values = Arc::new(StringArray::from(vec!["x".repeat(20 << 20)]));
    let column = DictionaryArray::<Int32Type>::try_new(Int32Array::from(vec![0]), values).unwrap();
    let batch = RecordBatch::try_from_iter([("d", Arc::new(column) as _)]).unwrap();
    let encoder = arrow_flight::encode::FlightDataEncoderBuilder::new()
        .with_dictionary_handling(arrow_flight::encode::DictionaryHandling::Resend)
        .with_max_flight_data_size(usize::MAX)
        .build(stream::iter([Ok(batch)]));
    let all: Vec<FlightData> = encoder.map(|message| message.unwrap()).collect().await;
    let [schema, dictionary, rows] = all.try_into().unwrap();
    // Replaced dictionaries count once.
    let again = [schema.clone(), dictionary.clone(), rows.clone(), dictionary.clone(), rows.clone()];
    assert_eq!(read(move || messages(again.clone())).await, (2, None));
    // Unknown ones are refused.
    let error = refusal(move || {
        let plain = encoded(&[crate::server::rows(&[1])]);
        messages([plain[0].clone(), dictionary.clone(), plain[1].clone()])
    })
    .await;
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
}

#[tokio::test]
async fn batches_of_another_schema_are_refused() {
    let strings = Arc::new(StringArray::from(vec!["a", "b"])) as _;
    let other = RecordBatch::try_from_iter([("timestamp_ns", strings)]).unwrap();
    let error = refusal(move || {
        let (begin, sent) = (encoded(&[rows(&[1])]), encoded(std::slice::from_ref(&other)));
        messages([begin[0].clone(), sent[1].clone()])
    })
    .await;
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
    let error = refusal(|| messages([encoded(&[rows(&[1])]), encoded(&[rows(&[1])])].concat())).await;
    assert!(error.message.contains("second schema"), "{error}");
    for first in [vec![], vec![FlightData::default()], encoded(&[rows(&[1])])[1..].to_vec()] {
        assert_eq!(refusal(move || messages(first.clone())).await.kind, ErrorKind::Internal);
    }
}

#[tokio::test]
async fn topics_without_times_are_not_merged() {
    let names = Arc::new(StringArray::from(vec!["a"])) as _;
    let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
    let server = Hostile::answering(move || messages(encoded(std::slice::from_ref(&batch)))).await;
    let stream = server.client().await.read(vec![1], ReadAhead::new(BUDGET, 1)).await.unwrap();
    let mut merge = Merge::new(vec![stream]);
    assert_eq!(merge.peek(), Step::Refill);
    assert!(limited(merge.refill()).await.unwrap_err().message.contains("timestamp_ns"));
}

#[tokio::test]
async fn a_server_that_sends_no_rows_is_not_waited_for() {
    let empty = encoded(&[rows(&[1]), rows(&[])]).pop().unwrap();
    let skipped = FlightData { app_metadata: skipped_message(&[]).into(), ..Default::default() };
    for message in [empty, skipped] {
        let (count, error) = read(move || begun(for_ever(frame(&prost(&message))))).await;
        let error = error.unwrap();
        assert_eq!(count, 3, "{error}");
        assert!(matches!(error.kind, ErrorKind::Deadline | ErrorKind::ResourceExhausted), "{error}");
    }
    let error = refusal(|| begun(for_ever(frame(&prost(&FlightData::default()))))).await;
    assert_eq!(error.kind, ErrorKind::Internal, "{error}");
    // One byte now and then; nothing at all.
    let dribble = || {
        let bytes = stream::unfold(0, |sent| async move {
            tokio::time::sleep(ANSWER / 4).await;
            Some((Frame::data(Bytes::from_static(&[0])), sent + 1))
        });
        begun(stream::iter([head_of(0, 1000)]).chain(bytes))
    };
    assert_eq!(refusal(dribble).await.kind, ErrorKind::Deadline);
    assert_eq!(refusal(|| stream::pending().boxed()).await.kind, ErrorKind::Deadline);
}

#[tokio::test]
async fn a_list_of_skipped_rows_is_limited() {
    let row = DamagedRows {
        topic: "s/t".into(),
        chunk: "0-0".into(),
        rows: (0, 1),
        timestamp_range: (0, 1),
        skipped_rows: 1,
        cause: "x".into(),
    };
    let list = skipped_message(&vec![row; 5000]);
    let message = FlightData { app_metadata: list.into(), ..Default::default() };
    let error = refusal(move || begun(for_ever(frame(&prost(&message))))).await;
    assert_eq!(error.code, ErrorCode::TooLarge, "{error}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_no_end_of_the_data() {
    // Without a status, cut in a message, and reset.
    for rest in [vec![], vec![head_of(0, 1000)]] {
        let rest: Vec<Bytes> = rest.into_iter().map(|part| part.into_data().unwrap()).collect();
        let parts = move || begun(stream::iter(rest.clone()).map(Frame::data));
        let (count, error) = read(parts).await;
        assert_eq!(count, 3);
        assert!(error.is_some(), "rows are missing, and nothing says so");
    }
}

/// Every byte of the headers changed: malformed ones make the decoder panic, for example a list without an item.
#[tokio::test]
async fn changed_headers_are_errors() {
    let next = Arc::new(Mutex::new(Vec::new()));
    let answer = Arc::clone(&next);
    let server = Hostile::answering(move || messages(answer.lock().unwrap().clone())).await;
    let client = server.client().await;
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let list = Field::new("list", DataType::List(item), true);
    let schema = mosaico_wire::ipc::schema_message(&Schema::new(vec![list]));
    let good = encoded(&[rows(&[1, 2, 3])]);
    let mut failed = 0;
    for (header, before) in
        [(Bytes::from(schema), vec![]), (good[1].data_header.clone(), vec![good[0].clone()])]
    {
        for (at, change) in (0..header.len()).flat_map(|at| [0xff, 0x80, 0x01].map(|change| (at, change))) {
            let mut header = header.to_vec();
            header[at] ^= change;
            let changed = FlightData { data_header: header.into(), ..good[1].clone() };
            *next.lock().unwrap() = before.iter().cloned().chain([changed]).collect();
            let outcome = limited(async {
                let stream = client.read(vec![1], ReadAhead::new(BUDGET, 1)).await?;
                drain(Merge::new(vec![stream])).await
            });
            failed += usize::from(outcome.await.is_err());
        }
    }
    assert!(failed > 100, "{failed} were refused");
}

async fn drain(mut merge: Merge) -> Result<usize, Error> {
    let mut rows = 0;
    loop {
        match merge.peek() {
            Step::Row { .. } => {
                rows += 1;
                merge.advance();
            }
            Step::Refill => merge.refill().await?,
            Step::End => return Ok(rows),
        }
    }
}
