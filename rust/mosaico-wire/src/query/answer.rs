//! The answer of `query`.

use serde::{Deserialize, Serialize};

use crate::damage::DamagedRows;

/// The matches. 0.2 clients know `items`; the other keys are present only on request, or if they are needed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct QueryAnswer {
    /// Sequences in the requested order.
    pub items: Vec<QueryItem>,
    /// With a `limit`: the cursor of the next page, null on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Option<String>>,
    /// Statistics of the search, with `explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
    /// Damaged chunks that were not searched: rows in them may match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<DamagedRows>,
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

/// Statistics of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Explain {
    /// Candidate sequences from the catalog.
    pub sequences: u64,
    /// Candidate topics from the catalog.
    pub topics: u64,
    /// Chunks of topics with a condition on values; rows that are only in the WAL of a recording count as
    /// chunks.
    pub chunks: Counts,
    /// Row groups of chunks that were opened.
    pub row_groups: Counts,
    /// Pages of the requested columns, in row groups that were read.
    pub pages: Counts,
    /// Rows that were decoded and evaluated.
    pub rows_scanned: u64,
    /// Bytes that were read from the store or the WAL.
    pub bytes_read: u64,
}

/// Candidates by outcome. A search ends at the first match, so the sum may be less than the number of
/// candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Units that may contain matching rows.
    pub candidates: u64,
    /// Units that statistics alone decided.
    pub pruned_by_statistics: u64,
    /// Units that were read.
    pub read: u64,
}
