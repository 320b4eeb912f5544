//! Schema metadata of flight infos and streams, and the `app_metadata` of endpoints.

use std::collections::HashMap;

use mosaico_types::SerializationFormat;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `sequence` or `topic`.
pub const CONTEXT: &str = "mosaico:context";
/// The user's metadata, as JSON text.
pub const USER_METADATA: &str = "mosaico:user_metadata";
/// [`Properties`] of a topic, as JSON text.
pub const PROPERTIES: &str = "mosaico:properties";
/// Scheme of the endpoint locations that carry a topic's locator.
pub const LOCATION_SCHEME: &str = "mosaico:";

/// Type of a topic's messages. 0.2 clients build it strictly: exactly these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Storage profile.
    pub serialization_format: SerializationFormat,
    /// Tag of the message type.
    pub ontology_tag: String,
}

/// Schema metadata of a sequence.
pub fn sequence_metadata(user_metadata: &Value) -> HashMap<String, String> {
    HashMap::from([
        (CONTEXT.to_owned(), "sequence".to_owned()),
        (USER_METADATA.to_owned(), user_metadata.to_string()),
    ])
}

/// Schema metadata of a topic.
pub fn topic_metadata(user_metadata: &Value, properties: &Properties) -> HashMap<String, String> {
    let properties = serde_json::json!({
        "serialization_format": properties.serialization_format,
        "ontology_tag": properties.ontology_tag,
    });
    HashMap::from([
        (CONTEXT.to_owned(), "topic".to_owned()),
        (USER_METADATA.to_owned(), user_metadata.to_string()),
        (PROPERTIES.to_owned(), properties.to_string()),
    ])
}

/// Rows of a topic that cannot be read now: another daemon acknowledged them, and the store does not have
/// them yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRows {
    /// `host:port` of that daemon; its id, if its address is unknown.
    pub daemon: String,
    /// Number of rows; absent if only that daemon knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Whether that daemon runs and will store them.
    pub running: bool,
}

/// `app_metadata` of an endpoint. Readers ignore unknown keys; all but `timestamp` are native extensions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointMetadata {
    /// Bounds of the stored data; `None` without rows.
    pub timestamp: Option<Bounds>,
    /// Stored rows; absent on Mosaico's own servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Number of times that the writer resumed after its connection broke; absent if 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<u32>,
    /// Rows that are not counted in `rows` yet; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remote_rows: Vec<RemoteRows>,
}

/// `app_metadata` of an info, if its command requests it: the answer of the action `*_system_info`, and the
/// state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Stored bytes.
    pub total_size_bytes: u64,
    /// Whether it is complete and immutable.
    pub is_locked: bool,
    /// Creation time, see `mosaico_types::format_utc`.
    pub created_datetime: String,
    /// Stored chunks; topics only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks_number: Option<u64>,
    /// Whether the resource has no writer any more: it is locked, or ended unlocked.
    pub is_ended: bool,
}

/// Lowest and highest `timestamp_ns`, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lowest.
    pub min: i64,
    /// Highest.
    pub max: i64,
}

/// The endpoint location of a topic: `mosaico:/sequence/topic`.
pub fn location(locator: &str) -> String {
    format!("{LOCATION_SCHEME}/{locator}")
}

/// The locator in an endpoint location; `None` if it is of another scheme or has no topic.
pub fn parse_location(uri: &str) -> Option<&str> {
    let path = uri.strip_prefix(LOCATION_SCHEME)?.trim_start_matches('/');
    path.contains('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_metadata_has_the_recorded_shape() {
        let data = EndpointMetadata { timestamp: Some(Bounds { min: 1, max: 2 }), ..Default::default() };
        assert_eq!(serde_json::to_string(&data).unwrap(), r#"{"timestamp":{"min":1,"max":2}}"#);
        let empty: EndpointMetadata = serde_json::from_str(r#"{"timestamp":null}"#).unwrap();
        assert_eq!(empty, EndpointMetadata::default());
    }

    #[test]
    fn locations_round_trip() {
        assert_eq!(parse_location(&location("run/imu")), Some("run/imu"));
        assert_eq!(parse_location("grpc://host/run/imu"), None);
        assert_eq!(parse_location("mosaico:/run"), None);
    }
}
