//! Random queries over random data in random chunks, compared with the definition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::*;
use crate::query_data::*;

#[derive(Debug, Clone)]
struct Topic {
    tag: &'static str,
    metadata: Value,
    batches: Vec<Vec<Row>>,
    /// The put stays open: rows are in the WAL.
    open: bool,
}

type Sequences = Vec<(Value, Vec<Topic>)>;

fn topic() -> impl Strategy<Value = Topic> {
    let batches = proptest::collection::vec(proptest::collection::vec(row(), 1..6), 0..6);
    (select(vec!["a", "b", "my.tag"]), metadata(), batches, any::<bool>())
        .prop_map(|(tag, metadata, batches, open)| Topic { tag, metadata, batches, open })
}

fn values(tag: &'static str) -> impl Strategy<Value = Value> {
    filter(FIELDS.iter().map(|field| format!("{tag}.{field}")).collect())
}

/// Conditions on rows of one tag, of both, or of either.
fn ontology() -> impl Strategy<Value = Value> {
    let pair = || (values("a"), values("my.tag"));
    prop_oneof![
        values("a"),
        values("b"),
        pair().prop_map(|(a, b)| json!({"$and": [a, b]})),
        pair().prop_map(|(a, b)| json!({"$or": [a, b]})),
    ]
}

/// A query object; `matches` defines the meaning of its `ontology`.
fn query() -> impl Strategy<Value = Value> {
    let meta = || filter(PATHS.iter().map(|path| (*path).to_owned()).collect());
    let section = |value: Option<Value>| value.map_or(Value::Null, |value| json!({"user_metadata": value}));
    let sections = (
        proptest::option::of(meta()),
        proptest::option::of(meta()),
        proptest::option::weighted(0.8, ontology()),
        any::<bool>(),
    );
    let leaf = sections.prop_map(move |(sequence, topic, ontology, ranges)| {
        let mut query = json!({"sequence": section(sequence), "topic": section(topic)});
        if let Some(mut ontology) = ontology {
            ontology["include_timestamp_range"] = json!(ranges);
            query["ontology"] = ontology;
        }
        query
    });
    let usable = |query: &Value| query.as_object().unwrap().values().any(|section| !section.is_null());
    leaf.prop_filter("says nothing", usable).prop_recursive(2, 5, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$and": all})),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$or": all})),
            inner.prop_map(|one| json!({"$not": one})),
        ]
    })
}

type Span = Option<(i64, i64)>;
/// Topics by index, with the requested times. A sequence without topics counts as one topic.
type Matches = BTreeMap<usize, Span>;

fn joined(a: Span, b: Span) -> Span {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

fn either(mut a: Matches, b: Matches) -> Matches {
    for (topic, span) in b {
        let known = a.entry(topic).or_default();
        *known = joined(*known, span);
    }
    a
}

fn only_sequences(query: &Value) -> bool {
    let object = query.as_object().unwrap();
    object.iter().all(|(key, value)| match (key.as_str(), value) {
        ("$and" | "$or", value) => value.as_array().unwrap().iter().all(only_sequences),
        ("$not", value) => only_sequences(value),
        ("sequence", _) => true,
        (_, value) => value.is_null(),
    })
}

fn matches(query: &Value, (metadata, topics): &(Value, Vec<Topic>), bare: bool) -> Matches {
    let sequence = (metadata, topics);
    let places = if topics.is_empty() { usize::from(bare) } else { topics.len() };
    let each = |all: &Value| -> Vec<Matches> {
        let all = all.as_array().unwrap().iter();
        all.map(|child| matches(child, &(sequence.0.clone(), sequence.1.clone()), bare)).collect()
    };
    if let Some(all) = query.get("$and") {
        let mut found = each(all).into_iter();
        let first = found.next().unwrap();
        return found.fold(first, |a, mut b| {
            a.into_iter().filter_map(|(t, span)| Some((t, joined(span, b.remove(&t)?)))).collect()
        });
    }
    if let Some(all) = query.get("$or") {
        return each(all).into_iter().fold(Matches::new(), either);
    }
    if let Some(one) = query.get("$not") {
        let found = matches(one, &(sequence.0.clone(), sequence.1.clone()), bare);
        return (0..places).filter(|t| !found.contains_key(t)).map(|t| (t, None)).collect();
    }
    let meta = |section: &Value, data: &Value| {
        section.is_null() || holds(&section["user_metadata"], &|path| metadata_at(data, path))
    };
    if !meta(&query["sequence"], metadata) {
        return Matches::new();
    }
    let chosen = |t: &usize| topics.get(*t).is_none_or(|topic| meta(&query["topic"], &topic.metadata));
    let chosen: Vec<usize> = (0..places).filter(chosen).collect();
    let Some(ontology) = query.get("ontology") else {
        return chosen.into_iter().map(|t| (t, None)).collect();
    };
    let ranges = ontology["include_timestamp_range"] == true;
    let of_tag = |tag: &str, filter: &Value| -> Matches {
        let of_topic = |t: &usize| {
            let rows = topics[*t].batches.iter().flatten().filter(|row| row_holds(row, tag, filter));
            let times: Vec<i64> = rows.map(|row| row.time).collect();
            let span = (times.iter().min().copied()?, times.iter().max().copied()?);
            Some((*t, ranges.then_some(span)))
        };
        chosen.iter().filter(|t| topics[**t].tag == tag).filter_map(of_topic).collect()
    };
    match (tag_of(ontology), ontology.get("$and"), ontology.get("$or")) {
        (Some(tag), ..) => of_tag(tag, ontology),
        (None, Some(both), _) => {
            let (a, b) = (of_tag("a", &both[0]), of_tag("my.tag", &both[1]));
            if a.is_empty() || b.is_empty() { Matches::new() } else { either(a, b) }
        }
        (None, None, Some(both)) => either(of_tag("a", &both[0]), of_tag("my.tag", &both[1])),
        _ => panic!("{ontology}"),
    }
}

fn row_holds(row: &Row, tag: &str, filter: &Value) -> bool {
    // The tag's own dot is not part of the path.
    if tag == "my.tag" { row.holds(&strip(filter)) } else { row.holds(filter) }
}

fn strip(filter: &Value) -> Value {
    match filter {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.replacen("my.tag", "tag", 1), strip(value))).collect()
        }
        Value::Array(items) => items.iter().map(strip).collect(),
        other => other.clone(),
    }
}

/// The one tag that all keys begin with.
fn tag_of(filter: &Value) -> Option<&'static str> {
    let text = filter.to_string();
    let found: Vec<_> = ["a", "b", "my.tag"]
        .into_iter()
        .filter(|tag| FIELDS.iter().any(|field| text.contains(&format!("\"{tag}.{field}\":"))))
        .collect();
    if let [only] = found[..] { Some(only) } else { None }
}

async fn store(client: &Client, sequences: &Sequences) -> Vec<Put> {
    let mut open = Vec::new();
    for (index, (metadata, topics)) in sequences.iter().enumerate() {
        let body = json!({"name": format!("s{index}"), "user_metadata": metadata});
        let key = act(client, "sequence_create", body).await.unwrap()["key"].clone();
        for (index_in, topic) in topics.iter().enumerate() {
            let locator = format!("s{index}/t{index_in}");
            let body = json!({
                "name": locator, "sequence_key": key, "serialization_format": "default",
                "ontology_tag": topic.tag, "user_metadata": topic.metadata,
            });
            let created = act(client, "topic_create", body).await.unwrap();
            if topic.batches.is_empty() {
                continue;
            }
            let key = created["key"].as_str().unwrap();
            let mut put = Put::open(client, &locator, key, batch(&[]).schema()).await;
            for rows in &topic.batches {
                put.send(batch(rows)).await;
            }
            put.durable(topic.batches.iter().map(|rows| rows.len() as u64).sum()).await;
            if topic.open {
                open.push(put);
            } else {
                put.finish().await.unwrap();
            }
        }
    }
    open
}

fn expected(query: &Value, sequences: &Sequences) -> Value {
    let bare = only_sequences(query);
    let item = |(index, sequence): (usize, &(Value, Vec<Topic>))| {
        let found = matches(query, sequence, bare);
        let topic = |(topic, span): (usize, Span)| {
            let mut entry = json!({"locator": format!("s{index}/t{topic}")});
            if let Some(span) = span {
                entry["timestamp_range"] = json!(span);
            }
            entry
        };
        let any = !found.is_empty();
        let topics: Vec<Value> = found.into_iter().filter(|_| !sequence.1.is_empty()).map(topic).collect();
        any.then(|| json!({"sequence": format!("s{index}"), "topics": topics}))
    };
    json!({"items": sequences.iter().enumerate().filter_map(item).collect::<Vec<_>>()})
}

/// The number of queries that matched something, and of those that excluded something; the number of topics
/// that the catalog proposed for all queries, and for the same queries in a form that it cannot narrow.
#[derive(Debug, Default)]
struct Seen {
    some: AtomicUsize,
    others: AtomicUsize,
    narrowed: AtomicUsize,
    unnarrowed: AtomicUsize,
}

/// The same query with conditions on rows that the bounds of chunks cannot prune.
fn unnarrowed(query: &Value) -> Value {
    match query {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                if key != "ontology" {
                    return (key.clone(), unnarrowed(value));
                }
                let mut conditions = value.clone();
                let ranges = conditions.as_object_mut().unwrap().remove("include_timestamp_range");
                let twice = json!({"$not": {"$not": conditions}, "include_timestamp_range": ranges == Some(json!(true))});
                (key.clone(), twice)
            };
            members.iter().map(member).collect()
        }
        Value::Array(items) => items.iter().map(unnarrowed).collect(),
        other => other.clone(),
    }
}

/// The response, and the number of topics that the catalog proposed.
async fn explained(client: &Client, mut query: Value) -> Result<(Value, usize), TestCaseError> {
    query["explain"] = json!(true);
    let answer = act(client, "query", query.clone()).await;
    let mut answer = answer.map_err(|status| TestCaseError::fail(format!("{query}: {status}")))?;
    let cost = answer.as_object_mut().unwrap().remove("explain").unwrap();
    Ok((answer, cost["topics"].as_u64().unwrap() as usize))
}

async fn check(
    sequences: Sequences,
    queries: Vec<Value>,
    chunk_bytes: usize,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    (config.chunk_bytes, config.row_group_bytes) = (chunk_bytes, chunk_bytes / 3 + 1);
    let server = TestServer::start(config).await;
    let open = store(&server.client, &sequences).await;
    for query in queries {
        let (answer, narrowed) = explained(&server.client, query.clone()).await?;
        let (same, proposed) = explained(&server.client, unnarrowed(&query)).await?;
        prop_assert_eq!(&answer, &same, "unnarrowed {}", query);
        seen.narrowed.fetch_add(narrowed, Relaxed);
        seen.unnarrowed.fetch_add(proposed, Relaxed);
        prop_assert_eq!(&answer, &expected(&query, &sequences), "{}", query);
        let found = answer["items"].as_array().unwrap().len();
        seen.some.fetch_add(usize::from(found > 0), Relaxed);
        seen.others.fetch_add(usize::from(found < sequences.len()), Relaxed);
        // The same result, page by page.
        let mut paged = Vec::new();
        let mut request = query.clone();
        request["limit"] = json!(1);
        loop {
            let page = act(&server.client, "query", request.clone()).await.unwrap();
            paged.extend(page["items"].as_array().unwrap().clone());
            if page["cursor"].is_null() {
                break;
            }
            request["cursor"] = page["cursor"].clone();
        }
        prop_assert_eq!(&Value::from(paged), &answer["items"], "paged {}", query);
    }
    drop(open);
    server.stop().await;
    Ok(())
}

#[test]
fn as_defined() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let topics = proptest::collection::vec(topic(), 0..4);
    let sequences = proptest::collection::vec((metadata(), topics), 1..4);
    let queries = proptest::collection::vec(query(), 24);
    let cases = Config { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let seen = Seen::default();
    TestRunner::new(cases)
        .run(&(sequences, queries, 200usize..4000), |(sequences, queries, chunk_bytes)| {
            runtime.block_on(check(sequences, queries, chunk_bytes, &seen))
        })
        .unwrap();
    let (narrowed, unnarrowed) = (seen.narrowed.into_inner(), seen.unnarrowed.into_inner());
    assert!(narrowed * 20 < unnarrowed * 19, "{narrowed} topics instead of {unnarrowed}");
    let (some, others) = (seen.some.into_inner(), seen.others.into_inner());
    assert!(some > 200 && others > 200, "{some} queries found something, {others} left something out");
}
