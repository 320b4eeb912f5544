//! One sequence: its topics, their fields and rates.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::response::Response;
use mosaico_catalog::TopicRow;
use mosaico_storage::error::Result;
use mosaico_types::TimeWindow;
use mosaico_wire::metadata::{Bounds, EndpointMetadata};
use serde_json::{Value, json};

use super::answer::{self, joined, range, state};
use super::failure::Failure;
use super::fields::fields;
use super::parameters::malformed;
use super::reader::Reader;
use crate::access::identity::Caller;
use crate::service::info;

/// `GET /api/v1/sequences/{name}`.
pub(super) async fn sequence(
    Extension(reader): Extension<Reader>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let Path(name) = path.map_err(|e| malformed(&e))?;
    let Reader { engine, caller, .. } = &reader;
    let name = caller.check_page(&name)?;
    let sequence = engine.catalog.sequence(&name).await?;
    let (topics, _) = reader.topics(name.as_str(), None, TimeWindow::ALL).await?;
    let mut contents = reader.contents(&topics).await?;
    let extent = |topic: TopicRow| {
        let metadata = contents.remove(&topic.id).unwrap_or_default();
        Extent::new(caller, topic, &metadata)
    };
    let described: Vec<Extent> = topics.into_iter().map(extent).collect();
    let rows = described.iter().map(|topic| topic.rows).sum::<Option<u64>>();
    let bytes = described.iter().map(|topic| topic.bytes).sum::<Option<u64>>();
    let answer = json!({
        "name": name.as_str(),
        "user_metadata": sequence.user_metadata,
        "created_ns": sequence.created_ns,
        "state": state(sequence.finalized_ns, sequence.ended_ns),
        "is_finalized": sequence.finalized_ns.is_some(),
        "time_range": described.iter().filter_map(|topic| topic.bounds).reduce(joined).map(range),
        "rows": rows,
        "bytes": bytes,
        "topics": described.iter().map(Extent::describe).collect::<Result<Vec<Value>>>()?,
    });
    Ok(answer::json(&answer))
}

/// A topic as far as a caller may read it.
struct Extent {
    topic: TopicRow,
    /// The number of all rows or bytes would describe rows outside of the caller's link.
    rows: Option<u64>,
    bytes: Option<u64>,
    bounds: Option<Bounds>,
}

impl Extent {
    fn new(caller: &Caller, topic: TopicRow, metadata: &EndpointMetadata) -> Self {
        let window = caller.link().map_or(TimeWindow::ALL, |link| link.window());
        let is_whole = window == TimeWindow::ALL;
        let bounds = metadata.timestamp.filter(|bounds| window.overlaps(bounds.min, bounds.max));
        let bounds = bounds.map(|Bounds { min, max }| Bounds {
            min: window.start.map_or(min, |start| min.max(start)),
            max: window.end.map_or(max, |end| max.min(end - 1)),
        });
        let bytes = Some(topic.stored_bytes).filter(|_| is_whole);
        Self { rows: metadata.rows.filter(|_| is_whole), bytes, bounds, topic }
    }

    /// Rows per second between the first row and the last one.
    fn rate_hz(&self) -> Option<f64> {
        let (rows, Bounds { min, max }) = (self.rows?, self.bounds?);
        let span_ns = (i128::from(max) - i128::from(min)) as f64;
        (rows > 1 && span_ns > 0.0).then(|| (rows - 1) as f64 * 1e9 / span_ns)
    }

    fn describe(&self) -> Result<Value> {
        let Self { topic, rows, bytes, bounds } = self;
        let path = topic.locator.topic.as_str();
        let (sequence, escaped) = (&topic.locator.sequence, path.replace('/', "%2F"));
        Ok(json!({
            "name": path,
            "ontology_tag": topic.ontology_tag,
            "user_metadata": topic.user_metadata,
            "rows": rows,
            "bytes": bytes,
            "time_range": bounds.map(range),
            "rate_hz": self.rate_hz(),
            "data": format!("/api/v1/sequences/{sequence}/topics/{escaped}/data"),
            "fields": fields(&info::topic_schema(topic)?),
        }))
    }
}
