//! Rows that an answer lacks because a chunk in the store is damaged: in the answer of a query, and in the last
//! message of a read that skips damaged chunks.

use serde::{Deserialize, Serialize};

/// `app_metadata` of the message without rows that ends a read which skipped some: this prefix, then a JSON list
/// of [`DamagedRows`]. Sent only where the request has [`crate::SKIP_DAMAGED_HEADER`].
const SKIPPED: &[u8] = b"skipped-damaged:";

/// Rows of one damaged chunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedRows {
    /// `sequence/topic`.
    pub topic: String,
    /// The id of the chunk.
    pub chunk: String,
    /// The first row of the chunk, and the row behind its last one, counted in the topic.
    pub rows: (u64, u64),
    /// Lowest and highest time of the chunk's rows, both inclusive.
    pub timestamp_range: (i64, i64),
    /// Rows that were not read; those that are outside of the requested window are included.
    pub skipped_rows: u64,
    /// How the file differs from the one that was written.
    pub cause: String,
}

/// The `app_metadata` that reports skipped rows.
pub fn skipped_message(rows: &[DamagedRows]) -> Vec<u8> {
    [SKIPPED, serde_json::json!(rows).to_string().as_bytes()].concat()
}

/// The skipped rows, if `app_metadata` reports any.
///
/// # Errors
/// The report cannot be parsed.
pub fn parse_skipped(app_metadata: &[u8]) -> Option<Result<Vec<DamagedRows>, serde_json::Error>> {
    app_metadata.strip_prefix(SKIPPED).map(serde_json::from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_travel() {
        let rows = DamagedRows {
            topic: "a/t".into(),
            chunk: "0-3".into(),
            rows: (10, 20),
            timestamp_range: (-5, 7),
            skipped_rows: 4,
            cause: "its file is missing".into(),
        };
        let message = skipped_message(std::slice::from_ref(&rows));
        assert_eq!(parse_skipped(&message).map(|found| found.unwrap()), Some(vec![rows]));
        assert!(parse_skipped(crate::ipc::ZERO_RUNS).is_none());
        assert!(parse_skipped(b"skipped-damaged:[{}]").is_some_and(|found| found.is_err()));
    }
}
