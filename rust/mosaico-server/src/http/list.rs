//! The list of sequences, page by page.

use std::collections::{HashMap, HashSet};

use axum::extract::Extension;
use axum::http::Uri;
use axum::response::Response;
use mosaico_catalog::{ListOrder, ListPlace, ListRequest, ListedSequence};
use mosaico_engine::query;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::Result;
use mosaico_types::access::Visibility;
use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::metadata::Bounds;
use serde_json::{Value, json};

use super::answer::{self, joined, range, state};
use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::reader::Reader;

/// Sequences of a page, by default and at most.
const PAGE: u32 = 100;
const MAX_PAGE: u32 = 1000;

/// No name is longer.
const MAX_SEARCH: usize = 256;

const ORDERS: [(&str, ListOrder); 5] = [
    ("name", ListOrder::Name),
    ("created", ListOrder::Created),
    ("start", ListOrder::Start),
    ("duration", ListOrder::Duration),
    ("bytes", ListOrder::Bytes),
];

/// `GET /api/v1/sequences`.
pub(super) async fn sequences(Extension(reader): Extension<Reader>, uri: Uri) -> Result<Response, Failure> {
    reader.check_no_link()?;
    let known = ["search", "where", "sort", "order", "limit", "cursor"];
    let parameters = Parameters::parse(&uri, &known)?;
    let order = parameters.word("sort", &ORDERS)?;
    let descending = parameters.word("order", &[("asc", false), ("desc", true)])?;
    let limit = parameters.number("limit", 1..=MAX_PAGE)?.unwrap_or(PAGE);
    let cursor = parameters.text("cursor").map(|text| place(text, order, descending)).transpose()?;
    let search = parameters.text("search").filter(|search| !search.is_empty());
    let search_length = search.map_or(0, str::len);
    if search_length > MAX_SEARCH {
        let text = format!("`search` has {search_length} bytes; names have at most {MAX_SEARCH}");
        return Err(malformed(&text).into());
    }
    let engine = &reader.engine;
    let visible = reader.caller.grant.visibility();
    let names = match parameters.text("where") {
        Some(text) => Some(matching(&reader, text, visible).await?),
        None if visible.is_all() => None,
        None => {
            let names = engine.catalog.sequence_names().await?;
            Some(names.into_iter().filter(|name| visible.shows(name)).collect())
        }
    };
    // No name has this character, which Postgres does not know.
    let names = if search.is_some_and(|search| search.contains('\0')) { Some(Vec::new()) } else { names };
    let search = search.filter(|search| !search.contains('\0'));
    // One more tells whether there is another page.
    let after = cursor.as_ref();
    let wanted = ListRequest { search, names, order, descending, after, limit: limit + 1 };
    // Before the catalog: rows move from the WAL to chunks, never back.
    let live = live(engine);
    let (mut listed, total) = engine.catalog.list_sequences(&wanted).await?;
    let has_more = listed.len() > limit as usize;
    listed.truncate(limit as usize);
    let last = listed.last().filter(|_| has_more);
    let next = last.map(|last| cursor_of(&last.place, order, descending));
    let unstored = unstored(engine, &listed, live).await?;
    let sequences: Vec<Value> =
        listed.iter().map(|sequence| describe(sequence, unstored.get(&sequence.id))).collect();
    Ok(answer::json(&json!({"sequences": sequences, "next_cursor": next, "total": total})))
}

/// The names of the sequences that match a query.
async fn matching(reader: &Reader, text: &str, visible: Visibility) -> Result<Vec<String>> {
    let body: Value =
        serde_json::from_str(text).map_err(|e| malformed(&format!("`where` is no JSON: {e}")))?;
    for part in ["order", "limit", "cursor"] {
        if body.get(part).is_some() {
            return Err(malformed(&format!("`where` has `{part}`; use the parameters of the list")));
        }
    }
    let found = query::run(&reader.engine, text.as_bytes(), visible).await?;
    Ok(found.items.into_iter().map(|item| item.sequence).collect())
}

fn order_name(order: ListOrder) -> &'static str {
    ORDERS.iter().find(|(_, known)| *known == order).map_or("", |(name, _)| *name)
}

/// Names have no dots.
fn cursor_of(place: &ListPlace, order: ListOrder, descending: bool) -> String {
    let direction = if descending { "desc" } else { "asc" };
    format!("{}.{direction}.{}.{}", order_name(order), place.key, place.name)
}

fn place(cursor: &str, order: ListOrder, descending: bool) -> Result<ListPlace> {
    let read = || {
        let mut parts = cursor.splitn(4, '.');
        let is_same =
            parts.next()? == order_name(order) && parts.next()? == if descending { "desc" } else { "asc" };
        let place = ListPlace { key: parts.next()?.parse().ok()?, name: parts.next()?.to_owned() };
        Some(place).filter(|place| is_same && !place.name.contains('\0'))
    };
    read().ok_or_else(|| {
        let shown: String = cursor.chars().take(60).collect();
        malformed(&format!(
            "`cursor={shown}` is not of this list; pass `next_cursor` as it is, with the same sort and order"
        ))
    })
}

/// A topic with rows that may not be in chunks yet.
struct Live {
    topic: TopicId,
    sequence: SequenceId,
    durable_rows: u64,
    bounds: Option<Bounds>,
}

fn live(engine: &Engine) -> Vec<Live> {
    let live = engine.live.all().into_iter().map(|topic| {
        let times = topic.segments().into_iter().map(|segment| segment.rows.times);
        let bounds = times.map(|times| Bounds { min: times.min, max: times.max }).reduce(joined);
        let durable_rows = topic.durable().durable_rows;
        Live { topic: topic.id(), sequence: topic.row.sequence_id, durable_rows, bounds }
    });
    live.collect()
}

/// Rows of the sequences that are not in chunks yet, and their times.
async fn unstored(
    engine: &Engine,
    listed: &[ListedSequence],
    mut live: Vec<Live>,
) -> Result<HashMap<SequenceId, (u64, Option<Bounds>)>> {
    let wanted: HashSet<SequenceId> = listed.iter().map(|sequence| sequence.id).collect();
    live.retain(|topic| wanted.contains(&topic.sequence));
    let mut found: HashMap<SequenceId, (u64, Option<Bounds>)> = HashMap::new();
    if live.is_empty() {
        return Ok(found);
    }
    let ids: Vec<TopicId> = live.iter().map(|topic| topic.topic).collect();
    let stored = engine.catalog.stored_rows(&ids).await?;
    for topic in live {
        let Some((rows, lost)) = stored.get(&topic.topic) else { continue };
        let (more, bounds) = found.entry(topic.sequence).or_default();
        *more += topic.durable_rows.saturating_sub(rows + lost);
        *bounds = [*bounds, topic.bounds].into_iter().flatten().reduce(joined);
    }
    Ok(found)
}

fn describe(sequence: &ListedSequence, unstored: Option<&(u64, Option<Bounds>)>) -> Value {
    let (more, live) = unstored.copied().unwrap_or_default();
    let stored = sequence.bounds.map(|(min, max)| Bounds { min, max });
    let bounds = stored.into_iter().chain(live).reduce(joined);
    json!({
        "name": sequence.place.name,
        "state": state(sequence.finalized_ns, sequence.ended_ns),
        "created_ns": sequence.created_ns,
        "time_range": bounds.map(range),
        "topics": sequence.topics,
        "rows": sequence.rows + more,
        "bytes": sequence.bytes,
        "user_metadata": sequence.user_metadata,
    })
}
