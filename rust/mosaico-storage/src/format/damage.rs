//! The known damage of segments of a topic's write-ahead log (WAL).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::format::chunk_id::ChunkId;

/// `damage.json`: replaced each time a segment of the topic is quarantined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DamageRecord {
    pub segments: Vec<DamagedSegment>,
}

/// A segment whose bytes differ from those that were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedSegment {
    #[serde(flatten)]
    pub id: ChunkId,
    /// The path of the quarantined file, below the state folder or in the store.
    pub kept: String,
    /// Acknowledged rows of the topic that are lost.
    pub lost: Vec<Range<u64>>,
    pub found_ns: i64,
}

impl DamagedSegment {
    /// The number of its lost rows.
    pub fn rows(&self) -> u64 {
        count(&self.lost)
    }
}

/// The number of rows in `ranges`.
pub fn count(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// The number of lost rows of a topic.
pub fn lost_rows(damage: &[DamagedSegment]) -> u64 {
    damage.iter().map(DamagedSegment::rows).sum()
}

/// The number of lost rows of one segment of a topic.
pub fn lost_of(damage: &[DamagedSegment], id: ChunkId) -> u64 {
    damage.iter().filter(|segment| segment.id == id).map(DamagedSegment::rows).sum()
}

/// Each segment with lost rows, and the topic's row number at the end of the loss.
pub fn ends(damage: &[DamagedSegment]) -> impl Iterator<Item = (ChunkId, u64)> {
    damage.iter().filter_map(|segment| Some((segment.id, segment.lost.iter().map(|rows| rows.end).max()?)))
}

/// The parts of the ordered `ranges` that are not in `others`.
pub fn without(ranges: &[Range<u64>], others: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    others.fold(ranges.to_vec(), |rest, other| {
        let cut = |range: &Range<u64>| {
            let before = range.start..range.end.min(other.start);
            let after = range.start.max(other.end)..range.end;
            [before, after].into_iter().filter(|part| part.start < part.end).collect::<Vec<_>>()
        };
        rest.iter().flat_map(cut).collect()
    })
}

/// Row ranges in human-readable form.
pub fn text(ranges: &[Range<u64>]) -> String {
    let text = |range: &Range<u64>| match range.end - range.start {
        1 => range.start.to_string(),
        _ => format!("{}..{}", range.start, range.end),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows_are_subtracted_from_ranges() {
        let all = [0..10, 20..30];
        assert_eq!(without(&all, [].into_iter()), all);
        assert_eq!(without(&all, [0..10, 22..25].into_iter()), [20..22, 25..30]);
        assert_eq!(without(&all, std::iter::once(5..25)), [0..5, 25..30]);
        assert_eq!(without(&all, std::iter::once(0..30)), []);
        assert_eq!(count(&all), 20);
        assert_eq!(text(&all), "0..10, 20..30");
        assert_eq!(text(&[4..5, 7..9]), "4, 7..9");
    }
}
