//! What the audit log says of a call.

use mosaico_types::format_rfc3339;
use serde::{Serialize, Serializer};

/// A line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    #[serde(rename = "time", serialize_with = "to_the_millisecond")]
    pub(super) at_ns: i64,
    pub(super) who: String,
    pub(super) call: String,
    /// The sequence or topic.
    pub(super) subject: String,
    pub(super) from: String,
    pub(super) result: &'static str,
    pub(super) request: String,
    /// Several calls, of which this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) times: Option<u64>,
    /// Whether it is an event too.
    #[serde(skip)]
    pub(super) is_event: bool,
}

fn to_the_millisecond<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_rfc3339(ns - ns.rem_euclid(1_000_000)))
}
