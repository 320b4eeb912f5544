//! Bodies of the `DoAction` calls. Every request is a JSON object, every answer
//! `{"action": <name>, "response": {...}}`, or `{"action": "empty"}` where nothing is returned.

use mosaico_types::SerializationFormat;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::OnError;

/// Action names of the 0.2 generation.
pub mod name {
    /// Creates a sequence: [`super::SequenceCreate`] → [`super::KeyResponse`].
    pub const SEQUENCE_CREATE: &str = "sequence_create";
    /// Locks a sequence: [`super::SequenceKey`].
    pub const SEQUENCE_FINALIZE: &str = "sequence_finalize";
    /// Removes an unlocked sequence with its key: [`super::SequenceKey`].
    pub const SEQUENCE_ABORT: &str = "sequence_abort";
    /// Removes an unlocked sequence: [`super::Named`].
    pub const SEQUENCE_DELETE: &str = "sequence_delete";
    /// Size, lock state, creation time: [`super::Named`] → [`super::SequenceSystemInfo`].
    pub const SEQUENCE_SYSTEM_INFO: &str = "sequence_system_info";
    /// Adds a notification: [`super::NotifyCreate`].
    pub const SEQUENCE_NOTIFY_CREATE: &str = "sequence_notify_create";
    /// Lists notifications: [`super::Named`] → [`super::NotifyList`].
    pub const SEQUENCE_NOTIFY_LIST: &str = "sequence_notify_list";
    /// Removes notifications: [`super::Named`].
    pub const SEQUENCE_NOTIFY_PURGE: &str = "sequence_notify_purge";
    /// Creates a topic: [`super::TopicCreate`] → [`super::KeyResponse`].
    pub const TOPIC_CREATE: &str = "topic_create";
    /// Removes an unlocked topic: [`super::Named`].
    pub const TOPIC_DELETE: &str = "topic_delete";
    /// Size, chunks, lock state, creation time: [`super::Named`] → [`super::TopicSystemInfo`].
    pub const TOPIC_SYSTEM_INFO: &str = "topic_system_info";
    /// Adds a notification: [`super::NotifyCreate`].
    pub const TOPIC_NOTIFY_CREATE: &str = "topic_notify_create";
    /// Lists notifications: [`super::Named`] → [`super::NotifyList`].
    pub const TOPIC_NOTIFY_LIST: &str = "topic_notify_list";
    /// Removes notifications: [`super::Named`].
    pub const TOPIC_NOTIFY_PURGE: &str = "topic_notify_purge";
    /// Finds sequences and topics: [`crate::query::Query`] → [`crate::query::QueryAnswer`].
    pub const QUERY: &str = "query";
    /// Adds a layer: [`super::LayerCreate`].
    pub const LAYER_CREATE: &str = "layer_create";
    /// Renames and describes a layer: [`super::LayerUpdate`].
    pub const LAYER_UPDATE: &str = "layer_update";
    /// Removes a layer: [`super::Named`].
    pub const LAYER_DELETE: &str = "layer_delete";
    /// Lists layers: [`super::Nothing`] → [`super::LayerList`].
    pub const LAYER_LIST: &str = "layer_list";
    /// Every action of Mosaico 0.2, for tables and tests.
    pub const ALL: [&str; 19] = [
        SEQUENCE_CREATE,
        SEQUENCE_FINALIZE,
        SEQUENCE_ABORT,
        SEQUENCE_DELETE,
        SEQUENCE_SYSTEM_INFO,
        SEQUENCE_NOTIFY_CREATE,
        SEQUENCE_NOTIFY_LIST,
        SEQUENCE_NOTIFY_PURGE,
        TOPIC_CREATE,
        TOPIC_DELETE,
        TOPIC_SYSTEM_INFO,
        TOPIC_NOTIFY_CREATE,
        TOPIC_NOTIFY_LIST,
        TOPIC_NOTIFY_PURGE,
        QUERY,
        LAYER_CREATE,
        LAYER_UPDATE,
        LAYER_DELETE,
        LAYER_LIST,
    ];
    /// Whether an action changes nothing, so that it may be repeated when its answer is lost. That of another
    /// generation is not known to.
    pub fn changes_nothing(action: &str) -> bool {
        const READING: [&str; 7] = [
            SEQUENCE_SYSTEM_INFO,
            SEQUENCE_NOTIFY_LIST,
            TOPIC_SYSTEM_INFO,
            TOPIC_NOTIFY_LIST,
            QUERY,
            LAYER_LIST,
            crate::event::name::EVENT_LIST,
        ];
        READING.contains(&action)
    }
    /// The value of `action` in an answer without a response.
    pub const EMPTY: &str = "empty";
}

/// A request that only names its resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Sequence name or topic locator.
    pub name: String,
}

/// A request without parameters: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nothing {}

/// Body of `sequence_create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequenceCreate {
    /// Sequence name.
    pub name: String,
    /// Any JSON; clients send an object.
    pub user_metadata: Value,
    /// What the daemon does with the sequence if its writer vanishes. 0.2 clients do not send it, and 0.2
    /// servers ignore it.
    #[serde(default)]
    pub on_error: OnError,
}

/// Body of `sequence_finalize` and `sequence_abort`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceKey {
    /// Sequence name.
    pub name: String,
    /// The key that `sequence_create` returned.
    pub key: String,
}

/// Body of `topic_create`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopicCreate {
    /// Full locator, `sequence/topic`.
    pub name: String,
    /// The key that `sequence_create` returned.
    pub sequence_key: String,
    /// Storage profile.
    pub serialization_format: SerializationFormat,
    /// Tag of the message type.
    pub ontology_tag: String,
    /// Any JSON; clients send an object.
    pub user_metadata: Value,
}

/// Body of the `*_notify_create` actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyCreate {
    /// Sequence name or topic locator.
    pub name: String,
    /// Kind; 0.2 knows only [`NOTIFY_ERROR`].
    pub notify_type: String,
    /// Text for people.
    pub msg: String,
}

/// The only notification type of the 0.2 generation.
pub const NOTIFY_ERROR: &str = "error";

/// Answer of the create actions. 0.2 clients build it strictly: exactly this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyResponse {
    /// UUID text that opens the resource for writing.
    pub key: String,
}

/// Answer of `sequence_system_info`, strictly these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceSystemInfo {
    /// Stored bytes of all topics.
    pub total_size_bytes: u64,
    /// Whether the sequence is finalised.
    pub is_locked: bool,
    /// Creation time, see `mosaico_types::format_utc`.
    pub created_datetime: String,
}

/// Answer of `topic_system_info`, strictly these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSystemInfo {
    /// Number of stored chunks.
    pub chunks_number: u64,
    /// Stored bytes.
    pub total_size_bytes: u64,
    /// Whether the topic is complete.
    pub is_locked: bool,
    /// Creation time, see `mosaico_types::format_utc`.
    pub created_datetime: String,
}

/// Answer of the `*_notify_list` actions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyList {
    /// Oldest first.
    pub notifies: Vec<Notify>,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Sequence name or topic locator.
    pub name: String,
    /// Kind, see [`NOTIFY_ERROR`].
    pub notify_type: String,
    /// Text for people.
    pub msg: String,
    /// Creation time, see `mosaico_types::format_utc`.
    pub created_datetime: String,
}

/// Body of `layer_create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerCreate {
    /// Layer name.
    pub name: String,
    /// Text for people.
    pub description: String,
}

/// Body of `layer_update`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerUpdate {
    /// The current name of the layer.
    pub prev_name: String,
    /// The new name; may be the same.
    pub curr_name: String,
    /// The new description.
    pub curr_description: String,
}

/// Answer of `layer_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerList {
    /// In the order of creation.
    pub layers: Vec<Layer>,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Text for people.
    pub description: String,
}

/// An answer that could not be parsed.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Not JSON, or not of the expected shape.
    #[error("the answer to `{action}` is malformed: {cause}")]
    Malformed {
        /// The requested action.
        action: String,
        /// The parser's error.
        cause: serde_json::Error,
    },
    /// The answer names another action, or none.
    #[error("the answer to `{action}` names `{found}`")]
    Foreign {
        /// The requested action.
        action: String,
        /// The action found.
        found: String,
    },
}

#[derive(Serialize)]
struct AnswerOut<'a, T> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a T>,
}

#[derive(Deserialize)]
struct AnswerIn {
    action: String,
    #[serde(default)]
    response: Value,
}

/// Encodes the answer to `action`.
///
/// # Errors
/// Only if `response` cannot be expressed in JSON.
pub fn encode_answer<T: Serialize>(action: &str, response: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&AnswerOut { action, response: Some(response) })
}

/// The answer of an action that returns nothing.
pub fn empty_answer() -> Vec<u8> {
    br#"{"action":"empty"}"#.to_vec()
}

/// Decodes the answer to `action`; an empty answer is `None`.
///
/// # Errors
/// [`AnswerError`] if the body is not an answer to `action`.
pub fn decode_answer<T: DeserializeOwned>(action: &str, body: &[u8]) -> Result<Option<T>, AnswerError> {
    let malformed = |cause| AnswerError::Malformed { action: action.to_owned(), cause };
    let answer: AnswerIn = serde_json::from_slice(body).map_err(malformed)?;
    if answer.action == name::EMPTY {
        return Ok(None);
    }
    if answer.action != action {
        return Err(AnswerError::Foreign { action: action.to_owned(), found: answer.action });
    }
    serde_json::from_value(answer.response).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_have_the_recorded_shape() {
        let body = encode_answer(name::SEQUENCE_CREATE, &KeyResponse { key: "k".into() }).unwrap();
        assert_eq!(body, br#"{"action":"sequence_create","response":{"key":"k"}}"#);
        let key: Option<KeyResponse> = decode_answer(name::SEQUENCE_CREATE, &body).unwrap();
        assert_eq!(key.unwrap().key, "k");
        assert_eq!(decode_answer::<KeyResponse>("x", &empty_answer()).unwrap(), None);
        assert!(matches!(decode_answer::<KeyResponse>("x", &body), Err(AnswerError::Foreign { .. })));
        assert!(matches!(decode_answer::<KeyResponse>("x", b"\xff"), Err(AnswerError::Malformed { .. })));
    }
}
