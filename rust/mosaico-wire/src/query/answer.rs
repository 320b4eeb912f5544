//! The answer of `query`.

use serde::{Deserialize, Serialize};

/// What was found. 0.2 clients know `items`; the other keys come only when they were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueryAnswer {
    /// Sequences in the order asked for.
    pub items: Vec<QueryItem>,
    /// With a `limit`: where the next page begins, null on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Option<String>>,
    /// How the answer was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

/// A sequence with its matching topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryItem {
    /// Name of the sequence.
    pub sequence: String,
    /// Matching topics, by path.
    pub topics: Vec<QueryTopic>,
}

/// A matching topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryTopic {
    /// `sequence/topic`.
    pub locator: String,
    /// Lowest and highest time of the matching rows, both inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_range: Option<(i64, i64)>,
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explain {
    /// Sequences that the catalog proposed.
    pub sequences: u64,
    /// Topics that the catalog proposed.
    pub topics: u64,
    /// Chunks of topics whose values were asked for; rows still in the log of a recording count as chunks.
    pub chunks: Counts,
    /// Row groups of chunks that were opened.
    pub row_groups: Counts,
    /// Pages of the columns asked for, in row groups that were read.
    pub pages: Counts,
    /// Rows that were decoded and looked at.
    pub rows_scanned: u64,
    /// Bytes that were fetched from the store or the log.
    pub bytes_read: u64,
}

/// What became of the candidates. A search ends at the first match, so the sum may be less than all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// What might hold matching rows.
    pub candidates: u64,
    /// Decided by statistics alone.
    pub pruned_by_statistics: u64,
    /// Read.
    pub read: u64,
}
