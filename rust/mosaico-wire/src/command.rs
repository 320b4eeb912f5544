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
    /// Set by a writer that resumes after its connection broke: the number of times so far. The daemon ends
    /// the writer's earlier stream, and its first answer contains the row after which to resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<u32>,
    /// With `resume`: rows of the topic that were acknowledged to the writer. Another daemon on the same
    /// store can resume after them.
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
    /// Requests a [`SystemInfo`](crate::metadata::SystemInfo) in the same answer.
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

    /// The requested window.
    pub fn window(&self) -> TimeWindow {
        TimeWindow { start: self.timestamp_ns_start, end: self.timestamp_ns_end }
    }
}

/// `app_metadata` of a put answer: the rows and bytes of this topic that survive a crash of the daemon,
/// counted from the topic's first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PutAck {
    /// Durable rows.
    pub durable_rows: u64,
    /// Durable bytes of Arrow data.
    pub durable_bytes: u64,
}
