//! Signed links: the action `sequence_link`, which only native daemons have.

use serde::{Deserialize, Serialize};

/// Action names.
pub mod name {
    /// Creates a signed link to a sequence: [`super::SequenceLink`] → [`super::LinkAnswer`].
    pub const SEQUENCE_LINK: &str = "sequence_link";
    /// Every action of this kind, for tables and tests.
    pub const ALL: [&str; 1] = [SEQUENCE_LINK];
}

/// Body of `sequence_link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceLink {
    /// Sequence name.
    pub name: String,
    /// Time until the link expires, in seconds.
    pub expires_in_s: u64,
    /// First nanosecond that it opens; without it, all earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ns_start: Option<i64>,
    /// First nanosecond past those that it opens; without it, all later ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_ns_end: Option<i64>,
    /// Paths of the topics that it opens; without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<String>>,
}

/// Answer of `sequence_link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAnswer {
    /// The link, a URL of the daemon's HTTP port. It is a secret.
    pub url: String,
    /// When it expires, in nanoseconds since 1970; earlier than requested if the API key of the caller does.
    pub expires_ns: i64,
}
