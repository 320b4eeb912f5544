//! Everything that the store says about one sequence, read from its records.

use super::damage::DamagedSegment;
use super::records::{ChunkRecord, EpochRecord, NotificationRecord, SequenceRecord, TopicRecord};

/// Everything that the store says about one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicState {
    pub record: TopicRecord,
    pub schema: Option<Vec<u8>>,
    pub committed_ns: Option<i64>,
    pub chunks: Vec<ChunkRecord>,
    pub resumed: u32,
    pub damage: Vec<DamagedSegment>,
    pub parts: Vec<EpochRecord>,
    /// The rows of an upload that ended and is not committed.
    pub uploaded: Option<u64>,
}

/// Everything that the store says about one sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceState {
    pub record: SequenceRecord,
    pub finalized_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub topics: Vec<TopicState>,
    pub notifications: Vec<NotificationRecord>,
}
