//! The complete state of one sequence, read from its records.

use super::damage::DamagedSegment;
use super::records::{ChunkRecord, EpochRecord, NotificationRecord, SequenceRecord, TopicRecord};

/// The complete state of one topic in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicState {
    pub record: TopicRecord,
    pub schema: Option<Vec<u8>>,
    pub committed_ns: Option<i64>,
    pub chunks: Vec<ChunkRecord>,
    pub resumed: u32,
    pub damage: Vec<DamagedSegment>,
    pub epochs: Vec<EpochRecord>,
    /// The number of rows of an upload that ended and is not yet committed.
    pub uploaded: Option<u64>,
}

/// Whether a chunk does not count, because the writer sent rows of it to another daemon again. Such a record reached
/// the store late: its daemon sent it, was considered dead, and the next writer epoch began before it arrived. An
/// epoch begins after all rows of earlier epochs that count, so every reader of records ignores such a chunk; garbage
/// collection removes it once the topic is committed.
pub fn is_superseded(chunk: &ChunkRecord, epochs: &[EpochRecord]) -> bool {
    let row_end = chunk.row_start + chunk.rows;
    epochs.iter().any(|later| later.epoch > chunk.epoch && later.row_start < row_end)
}

/// The complete state of one sequence in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceState {
    pub record: SequenceRecord,
    pub finalized_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub topics: Vec<TopicState>,
    pub notifications: Vec<NotificationRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::durability::WalPlacement;

    #[test]
    fn a_chunk_counts_up_to_the_begin_of_each_later_epoch() {
        let epoch = |epoch, row_start| EpochRecord {
            epoch,
            daemon: format!("d{epoch}"),
            row_start,
            resumed_at: None,
            wal: WalPlacement::Disk,
            begun_ns: 0,
        };
        let chunk = |epoch, row_start, rows| ChunkRecord {
            epoch,
            index: 0,
            row_start,
            rows,
            bytes: 1,
            data_bytes: 1,
            ts_min: 0,
            ts_max: 0,
            crc32: 0,
            columns: Vec::new(),
        };
        let epochs = [epoch(0, 0), epoch(1, 100), epoch(3, 130)];
        assert!(!is_superseded(&chunk(0, 0, 100), &epochs));
        assert!(is_superseded(&chunk(0, 0, 101), &epochs) && is_superseded(&chunk(0, 200, 1), &epochs));
        assert!(!is_superseded(&chunk(1, 100, 30), &epochs) && is_superseded(&chunk(1, 100, 31), &epochs));
        assert!(is_superseded(&chunk(2, 120, 11), &epochs), "the record of epoch 2 may be missing");
        assert!(!is_superseded(&chunk(3, 130, 999), &epochs) && !is_superseded(&chunk(0, 0, 999), &[]));
    }
}
