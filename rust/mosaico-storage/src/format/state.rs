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

/// The complete state of one sequence in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceState {
    pub record: SequenceRecord,
    pub finalized_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub topics: Vec<TopicState>,
    pub notifications: Vec<NotificationRecord>,
}
