//! Series and densities over HTTP, compared with all rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;
use crate::links::Daemon;

const FIELDS: [&str; 3] = ["value", "ok", "in.count"];

/// Values of the fields; a missing count is one below a missing struct.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    time: i64,
    value: Option<f64>,
    ok: Option<bool>,
    count: Option<Option<i64>>,
}

impl Sample {
    fn numbers(&self) -> [Option<f64>; 3] {
        let count = self.count.flatten().map(|count| count as f64);
        [self.value, self.ok.map(|ok| f64::from(u8::from(ok))), count]
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    let inner = DataType::Struct(Fields::from(vec![field("count", DataType::Int64)]));
    let name = field("name", DataType::Utf8);
    let time = Field::new("timestamp_ns", DataType::Int64, false);
    Arc::new(Schema::new(vec![
        time,
        field("value", DataType::Float64),
        field("ok", DataType::Boolean),
        field("in", inner),
        name,
    ]))
}

fn batch(samples: &[Sample]) -> RecordBatch {
    let counts: ArrayRef = Arc::new(samples.iter().map(|one| one.count.flatten()).collect::<Int64Array>());
    let valid = NullBuffer::from_iter(samples.iter().map(|one| one.count.is_some()));
    let DataType::Struct(fields) = schema().field(3).data_type().clone() else { unreachable!() };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(samples.iter().map(|one| one.time).collect::<Int64Array>()),
        Arc::new(samples.iter().map(|one| one.value).collect::<Float64Array>()),
        Arc::new(samples.iter().map(|one| one.ok).collect::<BooleanArray>()),
        Arc::new(StructArray::new(fields, vec![counts], Some(valid))),
        Arc::new(StringArray::from_iter_values(samples.iter().map(|_| "x"))),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

/// A pixel column and its rows.
type Group<'a> = (i128, Vec<&'a Sample>);

/// The definition: all rows of the window in time order, grouped by pixel.
fn expected(samples: &[Sample], (from, to): (i64, i64), px: u32) -> Value {
    let mut rows: Vec<&Sample> = samples.iter().filter(|one| (from..to).contains(&one.time)).collect();
    rows.sort_by_key(|one| one.time);
    let pixel = |time: i64| {
        (i128::from(time) - i128::from(from)) * i128::from(px) / (i128::from(to) - i128::from(from))
    };
    let mut groups: Vec<Group<'_>> = Vec::new();
    let single = rows.len() <= px as usize;
    for row in rows {
        match groups.last_mut().filter(|(last, _)| *last == pixel(row.time) && !single) {
            Some((_, group)) => group.push(row),
            None => groups.push((pixel(row.time), vec![row])),
        }
    }
    let all = |value: &dyn Fn(&Group<'_>) -> Value| groups.iter().map(value).collect::<Value>();
    let fields: BTreeMap<&str, Value> = FIELDS
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let numbers = |group: &[&Sample]| {
                let numbers = group.iter().filter_map(|one| one.numbers()[index]).filter(|one| !one.is_nan());
                numbers.collect::<Vec<f64>>()
            };
            let low = all(&|(_, group)| json!(numbers(group).into_iter().reduce(f64::min)));
            let high = all(&|(_, group)| json!(numbers(group).into_iter().reduce(f64::max)));
            let first = all(&|(_, group)| json!(group[0].numbers()[index]));
            let last = all(&|(_, group)| json!(group[group.len() - 1].numbers()[index]));
            (name, json!({"min": low, "max": high, "first": first, "last": last}))
        })
        .collect();
    json!({
        "pixel": all(&|(pixel, _)| json!(*pixel as u64)),
        "first_ns": all(&|(_, group)| json!(group[0].time)),
        "last_ns": all(&|(_, group)| json!(group[group.len() - 1].time)),
        "count": all(&|(_, group)| json!(group.len())),
        "fields": fields,
    })
}

fn counts(samples: &[Sample], (from, to): (i64, i64), px: u32) -> Value {
    let mut counts = vec![0_u64; px as usize];
    for one in samples.iter().filter(|one| (from..to).contains(&one.time)) {
        let at =
            (i128::from(one.time) - i128::from(from)) * i128::from(px) / (i128::from(to) - i128::from(from));
        counts[at as usize] += 1;
    }
    json!(counts)
}

/// Compares a window, as JSON and as Arrow data, and its density.
async fn check(daemon: &Daemon, name: &str, samples: &[Sample], window: (i64, i64), px: u32) {
    let (from, to) = window;
    let sequence = format!("/api/v1/sequences/{name}");
    let path = format!("{sequence}/topics/t/series?fields=value,ok,in.count&from={from}&to={to}&px={px}");
    let answer = daemon.get(&path).await;
    assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
    let found = answer.json();
    assert_eq!((&found["from_ns"], &found["to_ns"], &found["px"]), (&json!(from), &json!(to), &json!(px)));
    let expected = expected(samples, window, px);
    assert_eq!(found["columns"], expected, "{path}");
    let arrow = daemon.ask("GET", &path, "accept: application/vnd.apache.arrow.stream\r\n").await.batches();
    let rows: usize = arrow.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, expected["pixel"].as_array().unwrap().len());
    let density = daemon.get(&format!("{sequence}/density?from={from}&to={to}&px={px}")).await.json();
    assert_eq!(density["topics"]["t"], counts(samples, window, px), "{path}");
}

fn sample(longest: i64) -> impl Strategy<Value = Sample> {
    let value = proptest::option::weighted(
        0.8,
        select(vec![f64::NAN, -0.0, 0.0, 1.5, -1e300, f64::MIN_POSITIVE, 7.0]),
    );
    let count = proptest::option::of(proptest::option::of(any::<i64>()));
    (0..longest, value, any::<Option<bool>>(), count).prop_map(|(time, value, ok, count)| Sample {
        time,
        value,
        ok,
        count,
    })
}

#[test]
fn series_are_those_of_all_rows() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    (config.chunk_bytes, config.row_group_bytes) = (2000, 300);
    let daemon = runtime.block_on(Daemon::start(config));
    let batches = proptest::collection::vec(proptest::collection::vec(sample(1000), 1..60), 1..8);
    let windows = proptest::collection::vec((-10_i64..1000, 1_i64..1100, 1_u32..40), 6);
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let case = std::cell::Cell::new(0);
    let outcome = runner.run(&(batches, any::<bool>(), windows), |(batches, open, windows)| {
        case.set(case.get() + 1);
        let name = format!("s{}", case.get());
        runtime.block_on(async {
            let client = &daemon.server.client;
            let key = create_sequence(client, &name).await;
            let locator = format!("{name}/t");
            let topic = create_topic(client, &locator, &key).await;
            let mut put = Put::open(client, &locator, &topic, schema()).await;
            for samples in &batches {
                put.send(batch(samples)).await;
            }
            let samples: Vec<Sample> = batches.concat();
            put.durable(samples.len() as u64).await;
            let put = if open { Some(put) } else { put.finish().await.map(|_| None).unwrap() };
            for (from, span, px) in windows {
                check(&daemon, &name, &samples, (from, from + span), px).await;
            }
            check(&daemon, &name, &samples, (i64::MIN, i64::MAX), 3).await;
            if let Some(put) = put {
                put.finish().await.unwrap();
            }
        });
        Ok(())
    });
    outcome.unwrap();
    runtime.block_on(daemon.stop());
}

/// Rows at 1 kHz with one spike.
fn many(rows: i64, spike: i64) -> Vec<Sample> {
    let value = |row: i64| if row == spike { 1e6 } else { (row % 100) as f64 };
    let one = |row: i64| Sample {
        time: row * 1_000_000,
        value: Some(value(row)),
        ok: Some(row % 7 == 0),
        count: Some((row % 3 > 0).then_some(row)),
    };
    (0..rows).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_window_reads_few_rows_and_loses_no_spike() {
    const ROWS: i64 = 300_000;
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    (config.chunk_bytes, config.row_group_bytes) = (4 << 20, 1 << 20);
    // Each window below has more rows.
    config.limits.query_rows = 150_000;
    let daemon = Daemon::start(config).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "a").await;
    let topic = create_topic(client, "a/t", &key).await;
    let samples = many(ROWS, 123_456);
    let batches: Vec<RecordBatch> = samples.chunks(10_000).map(batch).collect();
    put(client, "a/t", &topic, &batches).await.unwrap();
    act(client, "sequence_finalize", json!({"name": "a", "key": key})).await.unwrap();
    let end = ROWS * 1_000_000;
    for (window, px) in
        [((0, end), 1), ((0, end), 7), ((-end, 2 * end), 10), ((1_500_000, end - 77_777_777), 5)]
    {
        check(&daemon, "a", &samples, window, px).await;
    }
    let refused = daemon.get("/api/v1/sequences/a/topics/t/series?fields=value&px=8192").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "too_many"));
    assert_eq!(refused.json()["error"]["limit"], "max-query-rows");
    let zoomed = "/api/v1/sequences/a/topics/t/series?fields=value&from=123455000000&to=123458000000&px=100";
    assert_eq!(
        daemon.get(zoomed).await.json()["columns"]["fields"]["value"]["max"],
        json!([55.0, 1e6, 57.0])
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_series_are_refused() {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(config(folder.path())).await;
    let client = &daemon.server.client;
    let key = create_sequence(client, "a").await;
    let topic = create_topic(client, "a/t", &key).await;
    create_topic(client, "a/empty", &key).await;
    put(client, "a/t", &topic, &[batch(&many(3, 0))]).await.unwrap();
    let nine = ["value"; 9].join(",");
    let bad = [
        "",
        "fields=",
        "fields=none",
        "fields=name",
        "fields=in",
        &format!("fields={nine}"),
        "fields=value&px=0",
        "fields=value&px=8193",
        "fields=value&px=1e9",
        "fields=value&from=NaN",
        "fields=value&from=5&to=5",
        "fields=value&from=9&to=1",
        "fields=value&limit=1",
    ];
    for query in bad {
        let answer = daemon.get(&format!("/api/v1/sequences/a/topics/t/series?{query}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"), "{query}");
    }
    let empty = daemon.get("/api/v1/sequences/a/topics/empty/series?fields=value").await;
    assert_eq!(empty.status, 400, "no fields yet");
    let density = daemon.get("/api/v1/sequences/a/density?px=3").await.json();
    assert_eq!(density["topics"], json!({"t": [1, 1, 1], "empty": [0, 0, 0]}));
    let beside =
        daemon.get("/api/v1/sequences/a/topics/t/series?fields=value&from=999999999999").await.json();
    assert_eq!((&beside["from_ns"], &beside["columns"]["pixel"]), (&Value::Null, &json!([])));
    for path in ["/api/v1/sequences/b/density", "/api/v1/sequences/a/topics/none/series?fields=x"] {
        assert_eq!(daemon.get(path).await.status, 404, "{path}");
    }
    for path in [
        "/api/v1/sequences/%2e%2e/density",
        "/api/v1/sequences/..%2F..%2Fetc%2Fpasswd",
        "/api/v1/sequences/%FF",
    ] {
        assert_eq!(daemon.get(path).await.status, 400, "{path}");
    }
    daemon.stop().await;
}
