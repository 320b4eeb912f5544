//! A daemon's facts about a sequence or a topic.

use arrow::datatypes::Schema;
use mosaico_wire::metadata::{EndpointMetadata, SystemInfo};

/// Endpoint of one topic.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `sequence/topic`.
    pub locator: String,
    /// Opaque bytes for [`crate::Client::read`].
    pub ticket: Vec<u8>,
    /// Time bounds and row count.
    pub metadata: EndpointMetadata,
}

/// The catalog's facts about a sequence or topic, without its data.
#[derive(Debug, Clone)]
pub struct Info {
    /// The stored schema (no fields for a sequence) with the resource's metadata.
    pub schema: Schema,
    /// One per topic, in the server's order.
    pub endpoints: Vec<Endpoint>,
    /// Size and state; `None` from servers that are not native.
    pub system: Option<SystemInfo>,
}
