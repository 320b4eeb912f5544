//! Damage of a chunk, which reads find.

use std::fmt;
use std::ops::Range;

use mosaico_types::id::{SequenceId, TopicId};
use mosaico_wire::damage::DamagedRows;
use object_store::path::Path;

/// A chunk whose bytes are not those that were written. No record in the store says so: the file may be
/// restored from a backup, and the chunk is intact again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedChunk {
    pub sequence: SequenceId,
    pub topic: TopicId,
    /// The id of the chunk.
    pub chunk: String,
    /// `sequence/topic`.
    pub locator: String,
    /// The path of the file in the store.
    pub path: Path,
    /// Rows of the topic that the chunk has.
    pub rows: Range<u64>,
    /// Their first and last time.
    pub times: (i64, i64),
    /// How the file differs.
    pub cause: String,
}

impl DamagedChunk {
    /// The report to a client that did not get `skipped_rows` rows.
    pub fn report(&self, skipped_rows: u64) -> DamagedRows {
        DamagedRows {
            topic: self.locator.clone(),
            chunk: self.chunk.clone(),
            rows: (self.rows.start, self.rows.end),
            timestamp_range: self.times,
            skipped_rows,
            cause: self.cause.clone(),
        }
    }
}

impl fmt::Display for DamagedChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunk, locator, path, rows, times: (first, last), cause, .. } = self;
        write!(
            f,
            "chunk {chunk} of topic `{locator}` is damaged: {cause}. It has rows {}..{} of the topic, from {first} to \
             {last} ns; restore `{path}` from a backup, or skip damaged chunks to read the other rows",
            rows.start, rows.end,
        )
    }
}
