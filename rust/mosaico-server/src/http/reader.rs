//! What a request that was admitted may use: its caller, and the rows that the caller may read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor};
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mosaico_catalog::TopicRow;
use mosaico_engine::read::options::Options;
use mosaico_engine::read::series::Grid;
use mosaico_engine::state::engine::Engine;
use mosaico_select::Select;
use mosaico_storage::error::{Error, Result};
use mosaico_types::TimeWindow;
use mosaico_types::id::TopicId;
use mosaico_wire::metadata::{Bounds, EndpointMetadata};
use mosaico_wire::select::Selection;
use mosaico_wire::ticket::Ticket;
use serde_json::json;

use super::failure::Failure;
use super::parameters::malformed;
use crate::access::identity::{Caller, refused_link};
use crate::peers::{self, PeerPool};
use crate::service::call::Items;
use crate::service::{get, info};

pub(super) const ARROW_STREAM: &str = "application/vnd.apache.arrow.stream";

/// A caller and its daemon.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) engine: Arc<Engine>,
    pub(super) peers: Arc<PeerPool>,
    pub(super) caller: Arc<Caller>,
}

/// Batches of rows of a topic in time order.
pub(super) type Rows = BoxStream<'static, std::result::Result<RecordBatch, Failure>>;

impl Reader {
    /// The topic in the path of a request, and the part of the window that the caller may read.
    ///
    /// # Errors
    /// Of a URL, a name or a right.
    pub(super) async fn topic(
        &self,
        path: std::result::Result<Path<(String, String)>, PathRejection>,
        asked: TimeWindow,
    ) -> Result<(TopicRow, TimeWindow)> {
        let Path((sequence, topic)) = path.map_err(|e| malformed(&e))?;
        let (locator, window) = self.caller.check_page_topic(&sequence, &topic, asked)?;
        Ok((self.engine.catalog.topic(&locator).await?, window))
    }

    /// Refuses links, which open one sequence.
    pub(super) fn check_no_link(&self) -> Result<()> {
        self.caller.link().map_or(Ok(()), |_| Err(refused_link()))
    }

    /// The topics of a sequence that the caller may read, or those with these names, and the part of the window that it may
    /// read.
    ///
    /// # Errors
    /// Of a name or a right; [`Error::TopicNotFound`].
    pub(super) async fn topics(
        &self,
        sequence: &str,
        names: Option<Vec<String>>,
        asked: TimeWindow,
    ) -> Result<(Vec<TopicRow>, TimeWindow)> {
        let name = self.caller.check_page(sequence)?;
        let window = match self.caller.link() {
            Some(link) => link.narrowed(asked).ok_or_else(refused_link)?,
            None => asked,
        };
        let sequence = self.engine.catalog.sequence(&name).await?;
        // Read the topics after their sequence: an ended sequence gets no more topics.
        let mut topics = self.engine.catalog.topics(sequence.id).await?;
        if let Some(link) = self.caller.link() {
            topics.retain(|topic| link.has_topic(&topic.locator.topic));
        }
        for wanted in names.iter().flatten() {
            let wanted = wanted.trim_start_matches('/');
            if !topics.iter().any(|topic| topic.locator.topic.as_str() == wanted) {
                return Err(Error::TopicNotFound(format!("{name}/{wanted}")));
            }
        }
        if let Some(names) = names {
            topics.retain(|topic| {
                names.iter().any(|name| name.trim_start_matches('/') == topic.locator.topic.as_str())
            });
        }
        Ok((topics, window))
    }

    /// Rows and times of topics of one sequence, also of those that other daemons record.
    pub(super) async fn contents(&self, topics: &[TopicRow]) -> Result<HashMap<TopicId, EndpointMetadata>> {
        let mut found = HashMap::new();
        let Some(first) = topics.first() else { return Ok(found) };
        let command = json!({"resource_locator": first.locator.sequence.as_str()}).to_string();
        let remote =
            peers::infos(&self.engine, &self.peers, topics, &FlightDescriptor::new_cmd(command)).await?;
        for topic in topics {
            let metadata = match remote.get(&topic.id).and_then(|bytes| serde_json::from_slice(bytes).ok()) {
                Some(metadata) => metadata,
                None => info::endpoint_metadata(&self.engine, topic).await?,
            };
            found.insert(topic.id, metadata);
        }
        Ok(found)
    }

    /// The pixel columns of a window of a topic.
    ///
    /// # Errors
    /// As of [`grid`].
    pub(super) async fn grid(&self, topic: &TopicRow, window: TimeWindow, px: u32) -> Result<Option<Grid>> {
        let extent = match (window.start, window.end) {
            (Some(_), Some(_)) => None,
            _ => {
                let mut found = self.contents(std::slice::from_ref(topic)).await?;
                found.remove(&topic.id).and_then(|metadata| metadata.timestamp)
            }
        };
        grid(extent, window, px)
    }

    /// The schema of a read.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the topic has no such columns.
    pub(super) fn schema(&self, topic: &TopicRow, columns: Option<&[String]>) -> Result<SchemaRef> {
        let schema = info::topic_schema(topic)?;
        let selection = Selection { columns: columns.map(<[String]>::to_vec), condition: None };
        let select = match topic.schema {
            Some(_) => Select::new(&selection, &topic.ontology_tag, &schema)?,
            None => Select::all(&schema),
        };
        Ok(SchemaRef::clone(select.schema()))
    }

    /// The messages of a read, as Flight has them.
    pub(super) async fn messages(
        &self,
        topic: TopicRow,
        window: TimeWindow,
        columns: Option<Vec<String>>,
    ) -> Result<Items<FlightData>> {
        let selection = Selection { columns, condition: None };
        let ticket = Ticket { locator: topic.locator.to_string(), window, selection };
        let caller = Arc::clone(&self.caller);
        get::open(&self.engine, &self.peers, caller, topic, ticket, Options::default()).await
    }

    /// The rows of a read, also of a topic that another daemon records.
    pub(super) async fn rows(
        &self,
        topic: TopicRow,
        window: TimeWindow,
        columns: Option<Vec<String>>,
    ) -> Result<Rows> {
        let messages = self.messages(topic, window, columns).await?;
        let messages = messages.map_err(|status| FlightError::Tonic(Box::new(status)));
        let batches = FlightRecordBatchStream::new_from_flight_data(messages).map_err(|error| match error {
            FlightError::Tonic(status) => Failure::from(*status),
            error => Error::internal("reading the messages of a read", error).into(),
        });
        Ok(batches.boxed())
    }
}

/// The pixel columns of a window, whose missing limits are those of the rows; `None` without rows.
///
/// # Errors
/// [`Error::Invalid`] for a window that ends before it begins.
pub(super) fn grid(extent: Option<Bounds>, window: TimeWindow, px: u32) -> Result<Option<Grid>> {
    let start = window.start.or(extent.map(|extent| extent.min));
    let end = window.end.or(extent.map(|extent| extent.max.saturating_add(1)));
    let Some((start, end)) = start.zip(end) else { return Ok(None) };
    match (window.start, window.end) {
        _ if start < end => Ok(Some(Grid { start, end, px })),
        (Some(start), Some(end)) => Err(malformed(&format!("`from={start}` is not before `to={end}`"))),
        // It lies beside the rows.
        _ => Ok(None),
    }
}

/// Whether the client asks for Arrow data instead of JSON.
pub(super) fn wants_arrow(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|text| text.split(',')).any(|kind| kind.trim().starts_with(ARROW_STREAM))
}
