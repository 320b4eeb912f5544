//! What pages and players read: a sequence as JSON, the rows of a topic as an Arrow IPC stream.

use std::fmt::Display;
use std::sync::Arc;

use arrow_flight::FlightDescriptor;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use mosaico_catalog::TopicRow;
use mosaico_engine::read::options::Options;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::{Error, Result};
use mosaico_types::TimeWindow;
use mosaico_wire::metadata::{Bounds, EndpointMetadata};
use mosaico_wire::select::Selection;
use mosaico_wire::ticket::Ticket;
use serde_json::{Value, json};

use super::arrow_body::ipc_stream;
use super::failure::{Failure, JSON};
use crate::access::identity::Caller;
use crate::peers::{self, PeerPool};
use crate::service::{get, info};

const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// What a request that was admitted may use.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) engine: Arc<Engine>,
    pub(super) peers: Arc<PeerPool>,
    pub(super) caller: Arc<Caller>,
}

/// The parameters of a URL.
pub(super) fn parameters(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.map(|(name, value)| (name.into_owned(), value.into_owned()))
}

/// The parameters of the data of a topic.
#[derive(Debug, Default)]
struct DataQuery {
    window: TimeWindow,
    /// Dotted paths.
    columns: Option<Vec<String>>,
}

impl DataQuery {
    fn parse(uri: &Uri) -> Result<Self> {
        let mut query = Self::default();
        for (name, value) in parameters(uri) {
            let time = || {
                value.parse::<i64>().map_err(|_| malformed(&format!("`{value}` is no time in nanoseconds")))
            };
            let earlier = match name.as_str() {
                "from" => query.window.start.replace(time()?).is_some(),
                "to" => query.window.end.replace(time()?).is_some(),
                "columns" => query.columns.replace(value.split(',').map(str::to_owned).collect()).is_some(),
                "link" => false,
                _ => return Err(malformed(&format!("there is no parameter `{name}`"))),
            };
            if earlier {
                return Err(malformed(&format!("`{name}` is given twice")));
            }
        }
        Ok(query)
    }
}

fn malformed(reason: &dyn Display) -> Error {
    Error::Invalid(format!("the URL is malformed: {reason}; the parameters are from, to, columns and link"))
}

/// `GET /v1/sequences/{name}`.
pub(super) async fn sequence(
    Extension(reader): Extension<Reader>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    let Path(name) = path.map_err(|e| malformed(&e))?;
    let Reader { engine, peers, caller } = &reader;
    let name = caller.check_page(&name)?;
    let sequence = engine.catalog.sequence(&name).await?;
    // Read the topics after their sequence: an ended sequence gets no more topics.
    let mut topics = engine.catalog.topics(sequence.id).await?;
    if let Some(link) = caller.link() {
        topics.retain(|topic| link.has_topic(&topic.locator.topic));
    }
    let descriptor = FlightDescriptor::new_cmd(json!({"resource_locator": name.as_str()}).to_string());
    let remote = peers::infos(engine, peers, &topics, &descriptor).await?;
    let mut described = Vec::with_capacity(topics.len());
    for topic in &topics {
        let metadata = match remote.get(&topic.id).and_then(|bytes| serde_json::from_slice(bytes).ok()) {
            Some(metadata) => metadata,
            None => info::endpoint_metadata(engine, topic).await?,
        };
        described.push(describe(caller, topic, metadata));
    }
    let ranges: Vec<Bounds> = described.iter().filter_map(|(_, bounds)| *bounds).collect();
    let all = ranges.iter().copied().reduce(|a, b| Bounds { min: a.min.min(b.min), max: a.max.max(b.max) });
    let topics: Vec<Value> = described.into_iter().map(|(topic, _)| topic).collect();
    let answer = json!({
        "name": name.as_str(),
        "user_metadata": sequence.user_metadata,
        "created_ns": sequence.created_ns,
        "is_finalized": sequence.finalized_ns.is_some(),
        "time_range": all.map(range),
        "topics": topics,
    });
    Ok(([(CONTENT_TYPE, JSON)], answer.to_string()).into_response())
}

fn range(bounds: Bounds) -> Value {
    json!({"min_ns": bounds.min, "max_ns": bounds.max})
}

/// A topic as far as the caller may read it.
fn describe(caller: &Caller, topic: &TopicRow, metadata: EndpointMetadata) -> (Value, Option<Bounds>) {
    let window = caller.link().map_or(TimeWindow::ALL, |link| link.window());
    let bounds = metadata.timestamp.filter(|bounds| window.overlaps(bounds.min, bounds.max));
    let bounds = bounds.map(|Bounds { min, max }| Bounds {
        min: window.start.map_or(min, |start| min.max(start)),
        max: window.end.map_or(max, |end| max.min(end - 1)),
    });
    let path = topic.locator.topic.as_str();
    let data = format!("/v1/sequences/{}/topics/{}/data", topic.locator.sequence, path.replace('/', "%2F"));
    let described = json!({
        "name": path,
        "ontology_tag": topic.ontology_tag,
        "user_metadata": topic.user_metadata,
        // The number of all rows would describe rows outside of the link.
        "rows": metadata.rows.filter(|_| window == TimeWindow::ALL),
        "time_range": bounds.map(range),
        "data": data,
    });
    (described, bounds)
}

/// `GET /v1/sequences/{name}/topics/{topic}/data`.
pub(super) async fn data(
    Extension(reader): Extension<Reader>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
) -> Result<Response, Failure> {
    let Path((sequence, topic)) = path.map_err(|e| malformed(&e))?;
    let DataQuery { window, columns } = DataQuery::parse(&uri)?;
    let Reader { engine, peers, caller } = reader;
    let (locator, window) = caller.check_page_topic(&sequence, &topic, window)?;
    let selection = Selection { columns, condition: None };
    let row = engine.catalog.topic(&locator).await?;
    let ticket = Ticket { locator: locator.to_string(), window, selection };
    let messages = get::open(&engine, &peers, caller, row, ticket, Options::default()).await?;
    let body = Body::from_stream(ipc_stream(messages));
    Ok(([(CONTENT_TYPE, ARROW_STREAM)], body).into_response())
}
