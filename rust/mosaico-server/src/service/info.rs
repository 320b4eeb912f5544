//! `ListFlights` and `GetFlightInfo`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema};
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Location, Ticket};
use bytes::Bytes;
use mosaico_catalog::{SequenceRow, TopicRow};
use mosaico_engine::state::engine::{Engine, Replicated};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::lost_rows;
use mosaico_storage::format::schema::parse_schema_message;
use mosaico_storage::wal::frame::SegmentRows;
use mosaico_types::access::Visibility;
use mosaico_types::{ErrorCode, SequenceName, TimeWindow, TopicLocator, format_utc};
use mosaico_wire::command::InfoCommand;
use mosaico_wire::metadata::{
    Bounds, EndpointMetadata, Properties, SystemInfo, location, sequence_metadata, topic_metadata,
};
use mosaico_wire::select::Selection;
use mosaico_wire::ticket;

use super::call::check_body;
use crate::access::identity::Caller;
use crate::access::table::Missing;
use crate::access::table::name::GET_FLIGHT_INFO;
use crate::peers::{self, PeerPool};

/// All sequences that the caller may read, by name.
pub(crate) async fn list(core: &Engine, criteria: &[u8], visible: &Visibility) -> Result<Vec<FlightInfo>> {
    if !matches!(criteria, b"" | b"/") {
        let criteria = String::from_utf8_lossy(criteria);
        return Err(Error::Invalid(format!(
            "sequences cannot be listed by `{criteria}`; leave the criteria empty"
        )));
    }
    let names = core.catalog.sequence_names().await?;
    Ok(names
        .into_iter()
        .filter(|name| visible.shows(name))
        .map(|name| {
            FlightInfo::new()
                .with_endpoint(FlightEndpoint::new().with_ticket(Ticket::new(name.clone())))
                .with_descriptor(FlightDescriptor::new_path(vec![name]))
        })
        .collect())
}

/// Schema, metadata and endpoints of a sequence or topic.
pub(crate) async fn describe(
    core: &Engine,
    pool: &Arc<PeerPool>,
    caller: &Caller,
    descriptor: FlightDescriptor,
    forwarded: bool,
) -> Result<FlightInfo> {
    let bad = |text: String| Error::Refused(ErrorCode::BadDescriptor, text);
    if descriptor.r#type() != DescriptorType::Cmd {
        return Err(bad("the descriptor is not a command; send one with `resource_locator`".into()));
    }
    check_body("the descriptor's command", &descriptor.cmd)?;
    let command: InfoCommand = serde_json::from_slice(&descriptor.cmd)
        .map_err(|e| bad(format!("the descriptor's command is malformed: {e}")))?;
    let window = command.window();
    let locator = command.resource_locator.as_str();
    let (schema, topics, system) = if locator.trim_start_matches('/').contains('/') {
        let locator = TopicLocator::parse(locator)?;
        caller.check_topic(GET_FLIGHT_INFO, &locator, Missing::Itself)?;
        let topic = core.catalog.topic(&locator).await?;
        let system = topic_system(&topic);
        (topic_schema(&topic)?, vec![topic], system)
    } else {
        let name = SequenceName::parse(locator)?;
        caller.check_sequence(GET_FLIGHT_INFO, &name)?;
        let sequence = core.catalog.sequence(&name).await?;
        // Read the topics after their sequence: an ended sequence gets no more topics.
        let topics = core.catalog.topics(sequence.id).await?;
        let metadata = sequence_metadata(&sequence.user_metadata);
        let system = sequence_system(&sequence, &topics);
        (Schema::new_with_metadata(Fields::empty(), metadata), topics, system)
    };
    let elsewhere = match forwarded {
        true => HashMap::new(),
        false => peers::infos(core, pool, &topics, &descriptor).await?,
    };
    let mut info = FlightInfo::new()
        .try_with_schema(&schema)
        .map_err(|e| Error::internal("encoding a schema", e))?
        .with_descriptor(descriptor);
    if command.system_info {
        let system = serde_json::to_vec(&system).map_err(|e| Error::internal("encoding an info", e))?;
        info = info.with_app_metadata(system);
    }
    for topic in &topics {
        let metadata = match elsewhere.get(&topic.id) {
            Some(metadata) => metadata.clone(),
            None => encoded_metadata(core, topic).await?,
        };
        info = info.with_endpoint(endpoint(caller, topic, window, metadata));
    }
    Ok(info)
}

pub(crate) fn sequence_system(sequence: &SequenceRow, topics: &[TopicRow]) -> SystemInfo {
    SystemInfo {
        total_size_bytes: topics.iter().map(|topic| topic.stored_bytes).sum(),
        is_locked: sequence.finalized_ns.is_some(),
        created_datetime: format_utc(sequence.created_ns),
        chunks_number: None,
        is_ended: sequence.finalized_ns.is_some() || sequence.ended_ns.is_some(),
    }
}

pub(crate) fn topic_system(topic: &TopicRow) -> SystemInfo {
    SystemInfo {
        total_size_bytes: topic.stored_bytes,
        is_locked: topic.committed_ns.is_some(),
        created_datetime: format_utc(topic.created_ns),
        chunks_number: Some(topic.chunks),
        is_ended: topic.committed_ns.is_some() || topic.sequence_ended,
    }
}

/// The schema that readers of a topic get; it has no fields before the first upload.
pub(crate) fn topic_schema(topic: &TopicRow) -> Result<Schema> {
    let properties = Properties {
        serialization_format: topic.serialization_format,
        ontology_tag: topic.ontology_tag.clone(),
    };
    let metadata: HashMap<String, String> = topic_metadata(&topic.user_metadata, &properties);
    let fields = match &topic.schema {
        Some(bytes) => parse_schema_message(bytes)?.fields().clone(),
        None => Fields::empty(),
    };
    Ok(Schema::new_with_metadata(fields, metadata))
}

/// Rows and bounds of a topic, including rows in the WAL.
async fn extent(core: &Engine, topic: &TopicRow) -> Result<(u64, Option<(i64, i64)>)> {
    if topic.committed_ns.is_some() {
        return Ok((topic.rows, topic.bounds));
    }
    // Read segments before chunks: a background job moves rows from segments to chunks.
    let live = core.live.get(topic.id).map(|live| (live.durable().durable_rows, live.indexed()));
    let replicated = core.coordinator.replicated(core, topic).await?;
    let row = core.catalog.topic_by_id(topic.id).await?;
    let row = row.as_ref().unwrap_or(topic);
    let (mut rows, mut bounds) = (row.rows, row.bounds);
    let mut segments: Vec<SegmentRows> = Vec::new();
    if let Some(Replicated { segments: others, chunks }) = replicated {
        rows = chunks.iter().map(|chunk| chunk.rows).sum();
        segments.extend(others.iter().map(|view| view.segment.rows));
    }
    match live {
        Some((_, indexed)) if core.coordinator.is_shared() => {
            // Other daemons may have rows before or after those of this daemon.
            let chunks: HashSet<ChunkId> =
                core.catalog.chunks(topic.id).await?.iter().map(|chunk| chunk.id).collect();
            let ours = indexed.into_iter().filter(|(index, _)| !chunks.contains(index));
            segments.extend(ours.map(|(_, segment)| segment.rows));
            rows += segments.iter().map(|segment| segment.rows).sum::<u64>();
        }
        Some((durable, indexed)) => {
            segments.extend(indexed.into_iter().map(|(_, segment)| segment.rows));
            rows = durable.saturating_sub(lost_rows(&row.damage));
        }
        None => rows += segments.iter().map(|segment| segment.rows).sum::<u64>(),
    }
    for segment in segments {
        let (min, max) = bounds.unwrap_or((i64::MAX, i64::MIN));
        bounds = Some((min.min(segment.times.min), max.max(segment.times.max)));
    }
    Ok((rows, bounds))
}

/// What this daemon knows of the rows of a topic.
pub(crate) async fn endpoint_metadata(core: &Engine, topic: &TopicRow) -> Result<EndpointMetadata> {
    let (rows, bounds) = extent(core, topic).await?;
    Ok(EndpointMetadata {
        timestamp: bounds.map(|(min, max)| Bounds { min, max }),
        rows: Some(rows),
        resumed: (topic.resumed > 0).then_some(topic.resumed),
        remote_rows: core.coordinator.remote_rows(core, topic).await?,
    })
}

async fn encoded_metadata(core: &Engine, topic: &TopicRow) -> Result<Bytes> {
    let metadata = endpoint_metadata(core, topic).await?;
    let metadata = serde_json::to_vec(&metadata).map_err(|e| Error::internal("encoding an endpoint", e))?;
    Ok(metadata.into())
}

fn endpoint(caller: &Caller, topic: &TopicRow, window: TimeWindow, metadata: Bytes) -> FlightEndpoint {
    let locator = topic.locator.to_string();
    let ticket =
        ticket::Ticket { locator: locator.clone(), window, selection: Selection::default() }.encode();
    FlightEndpoint {
        ticket: Some(Ticket::new(caller.sign(ticket))),
        location: vec![Location { uri: location(&locator) }],
        expiration_time: None,
        app_metadata: metadata,
    }
}
