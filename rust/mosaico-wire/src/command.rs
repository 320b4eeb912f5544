//! JSON commands in flight descriptors, and the acknowledgements of `do_put`.

use mosaico_types::TimeWindow;
use serde::{Deserialize, Serialize};

/// Descriptor command of `do_put`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutCommand {
    /// Topic locator, `sequence/topic`.
    pub resource_locator: String,
    /// The key that `topic_create` returned.
    pub key: String,
    /// Set by a writer that goes on after its connection broke: how often that happened so far. The stream that
    /// it left behind is ended, and the first answer says after which row to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<u32>,
    /// Rows of the topic that its writer has an acknowledgement of, with `resume`: another daemon on the same store can
    /// go on after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
}

/// Descriptor command of `get_flight_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfoCommand {
    /// Sequence name or topic locator.
    pub resource_locator: String,
    /// First nanosecond inside the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ns_start: Option<i64>,
    /// First nanosecond past the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ns_end: Option<i64>,
    /// Asks for a [`SystemInfo`](crate::metadata::SystemInfo) in the same answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_info: bool,
}

impl InfoCommand {
    /// A command for `resource_locator`, restricted to `window`.
    pub fn new(resource_locator: impl Into<String>, window: TimeWindow) -> Self {
        Self {
            resource_locator: resource_locator.into(),
            timestamp_ns_start: window.start,
            timestamp_ns_end: window.end,
            system_info: false,
        }
    }

    /// The window asked for.
    pub fn window(&self) -> TimeWindow {
        TimeWindow { start: self.timestamp_ns_start, end: self.timestamp_ns_end }
    }
}

/// `app_metadata` of a put answer: what of this topic survives a crash of the daemon, counted from the
/// topic's first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PutAck {
    /// Durable rows.
    pub durable_rows: u64,
    /// Durable bytes of Arrow data.
    pub durable_bytes: u64,
}
