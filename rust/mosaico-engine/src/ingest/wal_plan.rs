//! Which rows of a topic the replicated WAL has, and which of its objects are obsolete. Pure: lists in, plans
//! out.

use std::collections::BTreeMap;
use std::ops::Range;

use mosaico_catalog::{ChunkRow, EpochRow};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{self, DamagedSegment};
use mosaico_storage::format::paths::LoggedRows;

/// Rows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub object: LoggedRows,
    /// Row numbers within the topic.
    pub rows: Range<u64>,
}

/// The last chunk of each epoch.
pub fn last_chunks(chunks: &[ChunkRow]) -> BTreeMap<u32, ChunkId> {
    let mut last: BTreeMap<u32, ChunkId> = BTreeMap::new();
    for chunk in chunks {
        let known = last.entry(chunk.id.epoch).or_insert(chunk.id);
        *known = chunk.id.max(*known);
    }
    last
}

/// Objects with rows that are not in chunks. The writer sent an epoch's rows again beyond the row at which it
/// resumed at another daemon.
pub fn waiting(objects: Vec<LoggedRows>, epochs: &[EpochRow], chunks: &[ChunkRow]) -> Vec<Piece> {
    let last = last_chunks(chunks);
    let piece = |object: LoggedRows| {
        let epoch = object.segment.epoch;
        let later = epochs.iter().filter(|later| later.number > epoch);
        let limit = later.map(|later| later.resumed_at).min().unwrap_or(u64::MAX);
        let rows = object.row_start..object.row_end.min(limit);
        let is_waiting = last.get(&epoch).is_none_or(|last| object.segment > *last);
        (is_waiting && !rows.is_empty()).then_some(Piece { object, rows })
    };
    objects.into_iter().filter_map(piece).collect()
}

/// The rows in `from..to` up to the first gap. Two segments have the same rows if those of the first one were
/// not acknowledged: then the later segment counts, and the first one is ignored from there on.
pub fn plan(waiting: &[Piece], from: u64, to: u64) -> Vec<Piece> {
    let (mut found, mut at, mut least) = (Vec::new(), from, ChunkId::first(0));
    while at < to {
        let here = waiting.iter().filter(|piece| piece.object.segment >= least && piece.rows.contains(&at));
        let Some(piece) = here.max_by_key(|piece| (piece.object.segment, piece.rows.start)) else { break };
        let later = waiting.iter().filter(|other| other.object.segment > piece.object.segment);
        let later = later.map(|other| other.rows.start).filter(|&start| start > at);
        let end = later.chain([piece.rows.end, to]).min().unwrap_or(to);
        found.push(Piece { object: piece.object, rows: at..end });
        (at, least) = (end, piece.object.segment);
    }
    found
}

pub fn end_of(pieces: &[Piece], from: u64) -> u64 {
    pieces.last().map_or(from, |last| last.rows.end)
}

/// The last segment or chunk of an epoch, even if all its rows are lost, and the number of the topic's rows
/// up to its end; `segment` is the last one in the local WAL.
pub fn last_of_epoch(
    segment: Option<(ChunkId, u64)>,
    chunks: &[ChunkRow],
    damage: &[DamagedSegment],
    epoch: u32,
) -> Option<(ChunkId, u64)> {
    let known = chunks.iter().map(|chunk| (chunk.id, chunk.row_end())).chain(damage::ends(damage));
    known.filter(|(id, _)| id.epoch == epoch).chain(segment).max()
}

/// Whether an object is obsolete; `stored` rows of the topic are in chunks, up to the segment `last` of each
/// epoch.
pub fn is_done(object: LoggedRows, stored: u64, last: &BTreeMap<u32, ChunkId>) -> bool {
    object.row_end <= stored || last.get(&object.segment.epoch).is_some_and(|last| object.segment <= *last)
}

/// Rows of the topic that are in chunks or lost, up to the first one that is neither.
pub fn stored_rows(chunks: &[ChunkRow], damage: &[DamagedSegment]) -> u64 {
    let lost = damage.iter().flat_map(|segment| &segment.lost).map(|rows| (rows.start, rows.end));
    let mut spans: Vec<(u64, u64)> =
        chunks.iter().map(|chunk| (chunk.row_start, chunk.row_end())).chain(lost).collect();
    spans.sort_unstable();
    spans.into_iter().fold(0, |end, (from, to)| if from <= end { end.max(to) } else { end })
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::prelude::*;

    use super::*;

    /// A put: acknowledged groups, and one that was not acknowledged and may have arrived.
    #[derive(Debug, Clone)]
    struct Put {
        groups: Vec<u64>,
        failed: Option<u64>,
        /// `Some`: the put resumes at another daemon; its writer received the acknowledgements of all but
        /// this many rows.
        resumed: Option<u64>,
    }

    fn puts() -> impl Strategy<Value = Vec<Put>> {
        let groups = proptest::collection::vec(1u64..5, 0..4);
        let put = (groups, proptest::option::of(1u64..9), proptest::option::of(0u64..3));
        let put = put.prop_map(|(groups, failed, resumed)| Put { groups, failed, resumed });
        proptest::collection::vec(put, 1..8)
    }

    proptest! {
        #[test]
        fn rows_are_taken_from_the_put_that_acknowledged_them(puts in puts(), chunked in 0usize..8) {
            // Each acknowledged row with the segment that has it.
            let mut rows: Vec<ChunkId> = Vec::new();
            let (mut objects, mut epochs, mut chunks) = (Vec::new(), Vec::new(), Vec::new());
            let (mut epoch, mut segment, mut stored) = (0, ChunkId::first(0), 0);
            for (at, put) in puts.iter().enumerate() {
                if let Some(unheard) = put.resumed {
                    epoch += 1;
                    segment = ChunkId::first(epoch);
                    let resumed_at = (rows.len() as u64).saturating_sub(unheard).max(stored);
                    rows.truncate(resumed_at as usize);
                    let daemon = epoch.to_string();
                    let (row_start, row_end, wal_in_store, busy) = (stored, None, true, 1);
                    epochs.push(EpochRow { number: epoch, daemon, row_start, resumed_at, wal_in_store, row_end, busy });
                }
                let first = rows.len() as u64;
                for count in &put.groups {
                    let row_start = rows.len() as u64;
                    objects.push(LoggedRows { segment, row_start, row_end: row_start + count });
                    rows.extend((0..*count).map(|_| segment));
                }
                let row_start = rows.len() as u64;
                objects.extend(put.failed.map(|count| LoggedRows { segment, row_start, row_end: row_start + count }));
                // Rows of the first puts are in chunks before those of others; the daemon that resumed has
                // them.
                if at < chunked && puts[..=at].iter().all(|put| put.resumed.is_none()) {
                    let (rows, bytes) = (row_start - first, 1);
                    let row = ChunkRow { id: segment, row_start: first, rows, lost: 0, bytes, data_bytes: 1, ts_min: 0, ts_max: 0, crc32: 0 };
                    stored = row.row_end();
                    chunks.push(row);
                }
                segment = segment.next().unwrap();
            }
            let durable = rows.len() as u64;
            let waiting = waiting(objects, &epochs, &chunks);
            // Without the durable count, unacknowledged rows may be restored too, but no abandoned ones.
            let all = plan(&waiting, stored, u64::MAX);
            prop_assert!(end_of(&all, stored) >= durable);
            let beyond = all.iter().filter(|piece| piece.rows.end > durable);
            let last_chunk = chunks.last().map(|chunk| chunk.id);
            let is_last = |id: ChunkId| id.epoch == epoch && last_chunk.is_none_or(|last| id > last);
            let left_behind = beyond.map(|piece| piece.object.segment).find(|id| !is_last(*id));
            prop_assert_eq!(left_behind, None);
            let pieces = plan(&waiting, stored, durable);
            let found: Vec<(u64, ChunkId)> = pieces
                .iter()
                .flat_map(|piece| piece.rows.clone().map(|row| (row, piece.object.segment)))
                .collect();
            let expected: Vec<(u64, ChunkId)> = (stored..durable).map(|row| (row, rows[row as usize])).collect();
            prop_assert_eq!(found, expected);
            prop_assert!(pieces.iter().all(|piece| piece.object.row_start <= piece.rows.start));
        }
    }

    #[test]
    fn a_gap_ends_what_is_there() {
        let object = |index, row_start, row_end| {
            let segment = ChunkId { epoch: 0, index };
            LoggedRows { segment, row_start, row_end }
        };
        let objects = vec![object(0, 0, 5), object(1, 7, 9)];
        let waiting = waiting(objects, &[], &[]);
        assert_eq!(end_of(&plan(&waiting, 0, 9), 0), 5);
        assert_eq!(end_of(&plan(&waiting, 6, 9), 6), 6);
        assert_eq!(end_of(&plan(&waiting, 7, 8), 7), 8);
    }

    #[test]
    fn objects_stay_as_long_as_a_row_is_not_in_a_chunk() {
        let id = |epoch, index| ChunkId { epoch, index };
        let chunk = |id, row_start, rows| ChunkRow {
            id,
            row_start,
            rows,
            lost: 0,
            bytes: 1,
            data_bytes: 1,
            ts_min: 0,
            ts_max: 0,
            crc32: 0,
        };
        let chunks = [chunk(id(0, 0), 0, 10), chunk(id(1, 0), 10, 5), chunk(id(1, 1), 20, 5)];
        assert_eq!(stored_rows(&chunks, &[]), 15);
        let lost = DamagedSegment {
            id: id(1, 0),
            kept: String::new(),
            lost: iter::once(15..18).collect(),
            found_ns: 0,
        };
        assert_eq!(stored_rows(&chunks, &[lost]), 18);
        let last = last_chunks(&chunks);
        let done = |segment, row_end| is_done(LoggedRows { segment, row_start: 0, row_end }, 15, &last);
        assert!(done(id(0, 0), 99) && done(id(0, 1), 15) && done(id(1, 1), 99));
        assert!(!done(id(0, 1), 16) && !done(id(1, 2), 16));
    }
}
