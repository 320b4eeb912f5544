//! Hand-over: several daemons receive rows of one topic, one after the other, when its writer resumes at
//! another daemon.
//!
//! Each of them has a writer epoch, which a record defines, and numbers its chunks and segments within it
//! ([`ChunkId`]): the numbers of two daemons never collide, and the order of ids stays the order of arrival.
//! An epoch ends where the next one begins: the writer sent later rows of a daemon again, so they are cut
//! off.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use mosaico_catalog::{ChunkRow, EpochRow, TopicRow};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{self, DamagedSegment};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::{EpochRecord, UploadedRecord};
use mosaico_types::{ErrorCode, TopicLocator, now_ns};
use mosaico_wire::command::PutCommand;

use super::replicated_wal::end_of_epochs;
use crate::reconcile;
use crate::state::active_topic::ActiveTopic;
use crate::state::engine::Engine;
use crate::state::membership::Cluster;
use crate::state::queue::Job;

/// Acquires the writer epoch of a put; the caller holds the lock of the sequence. An epoch of another daemon
/// ends after the rows whose acknowledgement the writer received, and after those that are in chunks.
pub async fn acquire_epoch(
    core: &Engine,
    cluster: &Cluster,
    row: &TopicRow,
    command: &PutCommand,
) -> Result<EpochRow> {
    let epochs = core.catalog.epochs(row.id).await?;
    let Some(last) = epochs.last() else { return begin(core, cluster, row, 0, 0..0).await };
    if last.row_end.is_some() {
        // The writer did not receive the answer to the end of its upload.
        let change = core.catalog.begin(row.sequence_id, None).await?;
        core.withdraw(&change, &SequencePaths(row.sequence_id).topic(row.id).uploaded()).await?;
        core.catalog.upload_ended(change, row.id, None).await?;
    }
    if last.daemon == cluster.id() {
        let here = core.live.get(row.id).and_then(|live| live.last_of_epoch(last.number));
        let here = here.map_or(0, |(_, row_end)| row_end);
        let of_part = |(id, _): &(ChunkId, u64)| id.epoch == last.number;
        let here = damage::ends(&row.damage).filter(of_part).map(|(_, end)| end).fold(here, u64::max);
        let acknowledged = command.acknowledged.unwrap_or(0);
        let stored = core.catalog.chunks(row.id).await?.iter().map(ChunkRow::row_end).max().unwrap_or(0);
        let is_here = acknowledged <= here.max(stored).max(last.resumed_at);
        if last.wal_in_store == core.config.replicates_wal() && (is_here || !last.wal_in_store) {
            return Ok(last.clone());
        }
        // The daemon was restarted with another WAL setting, which the epoch's record contains; or its disk
        // lost rows that the store has.
        return begin_next_epoch(core, cluster, row, &epochs, here, Some(acknowledged)).await;
    }
    match command.resume.and(command.acknowledged) {
        Some(acknowledged) => begin_next_epoch(core, cluster, row, &epochs, 0, Some(acknowledged)).await,
        None => Err(at_other_daemon(core, &row.locator, &last.daemon, None).await?),
    }
}

/// Begins the next writer epoch. It takes over the rows of the previous epoch that the store has and that are
/// not in chunks, up to row `acknowledged`; `None`: all of them. The first `here` rows are in chunks or in
/// the WAL of this daemon. Without these rows in the store, the new epoch begins after the acknowledged rows.
pub(super) async fn begin_next_epoch(
    core: &Engine,
    cluster: &Cluster,
    row: &TopicRow,
    epochs: &[EpochRow],
    here: u64,
    acknowledged: Option<u64>,
) -> Result<EpochRow> {
    let Some(last) = epochs.last() else { return begin(core, cluster, row, 0, 0..0).await };
    let chunks = core.catalog.chunks(row.id).await?;
    let stored = chunks.iter().map(ChunkRow::row_end).max().unwrap_or(0);
    let from = stored.max(last.row_start).max(here);
    let known = acknowledged.map(|rows| rows.max(from).max(last.resumed_at));
    let found = match known {
        Some(to) if to == from => to,
        _ => end_of_epochs(core, row, epochs, &chunks, from).await?,
    };
    let to = known.unwrap_or(found);
    let row_start = if found < to { to } else { from };
    let Some(next) = last.number.checked_add(1) else {
        let text =
            format!("topic `{}` has no number for another writer epoch; begin a new topic", row.locator);
        return Err(Error::Refused(ErrorCode::TooMany, text));
    };
    begin(core, cluster, row, next, row_start..to).await
}

async fn begin(
    core: &Engine,
    cluster: &Cluster,
    row: &TopicRow,
    number: u32,
    Range { start: row_start, end: resumed_at }: Range<u64>,
) -> Result<EpochRow> {
    let daemon = cluster.id().to_owned();
    let record = EpochRecord {
        epoch: number,
        daemon,
        row_start,
        resumed_at: (resumed_at > row_start).then_some(resumed_at),
        wal: core.config.wal,
        begun_ns: now_ns(),
    };
    let path = SequencePaths(row.sequence_id).topic(row.id).epoch(number);
    let change = core.catalog.begin(row.sequence_id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &record).await?;
    core.catalog.epoch_begun(change, row.id, &record).await?;
    let wal_in_store = core.config.replicates_wal();
    Ok(EpochRow {
        number,
        daemon: record.daemon,
        row_start,
        resumed_at,
        wal_in_store,
        row_end: None,
        busy: 1,
    })
}

/// Rows that a daemon still has to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub daemon: String,
    /// `None`: only that daemon knows.
    pub rows: Option<u64>,
    /// The store has them in the daemon's replicated WAL.
    pub in_store: bool,
}

/// Rows that are not in chunks. The end of the last epoch is only known once its upload has ended, or if its
/// daemon has no more rows.
fn missing(epochs: &[EpochRow], chunks: &[ChunkRow], damage: &[DamagedSegment]) -> Vec<Missing> {
    let mut stored: BTreeMap<u32, u64> = BTreeMap::new();
    for chunk in chunks {
        *stored.entry(chunk.id.epoch).or_default() += chunk.rows;
    }
    // Lost rows cannot be stored, so they do not count as missing.
    for segment in damage {
        *stored.entry(segment.id.epoch).or_default() += segment.rows();
    }
    let newest = epochs.last().map(|last| last.number);
    let ends = epochs.iter().skip(1).map(|next| Some(next.row_start));
    let ends = ends.chain(epochs.last().map(|last| last.row_end));
    let missing = epochs.iter().zip(ends).filter_map(|(epoch, end)| {
        let stored = stored.get(&epoch.number).copied().unwrap_or(0);
        let rows = match end {
            Some(end) => Some((end - epoch.row_start).saturating_sub(stored)),
            None if epoch.busy > 0 => None,
            None => Some((epoch.resumed_at - epoch.row_start).saturating_sub(stored)),
        };
        // The rows of an earlier epoch are in chunks then, or its daemon has them on its disk only.
        let in_store = epoch.wal_in_store && newest == Some(epoch.number);
        (rows != Some(0)).then(|| Missing { daemon: epoch.daemon.clone(), rows, in_store })
    });
    missing.collect()
}

/// Whether all epochs before the last one are in chunks.
pub fn earlier_are_stored(epochs: &[EpochRow], chunks: &[ChunkRow], damage: &[DamagedSegment]) -> bool {
    let last = epochs.last().map(|last| last.number);
    let closed = epochs.iter().map(|epoch| match Some(epoch.number) == last {
        true => EpochRow { busy: 0, row_end: None, ..epoch.clone() },
        false => epoch.clone(),
    });
    missing(&closed.collect::<Vec<_>>(), chunks, damage).is_empty()
}

/// Rows of a topic that are not in chunks, including those in the WALs of other daemons.
pub async fn missing_rows(core: &Engine, row: &TopicRow) -> Result<Vec<Missing>> {
    let epochs = core.catalog.epochs(row.id).await?;
    if epochs.is_empty() {
        return Ok(Vec::new());
    }
    let chunks = core.catalog.chunks(row.id).await?;
    let row = core.catalog.topic_by_id(row.id).await?;
    Ok(missing(&epochs, &chunks, row.as_ref().map_or(&[], |row| &row.damage)))
}

/// Refuses an operation that needs all rows of a topic while some are missing.
pub async fn check_complete(core: &Engine, row: &TopicRow) -> Result<()> {
    match missing_rows(core, row).await?.first() {
        Some(Missing { daemon, rows, .. }) => Err(at_other_daemon(core, &row.locator, daemon, *rows).await?),
        None => Ok(()),
    }
}

async fn at_other_daemon(
    core: &Engine,
    topic: &TopicLocator,
    daemon: &str,
    rows: Option<u64>,
) -> Result<Error> {
    let known = core.catalog.daemon(daemon).await?;
    let place = match &known {
        Some(known) if known.alive => format!("at {}, which is storing them", known.address),
        Some(known) => format!("at {}, which does not run: start it on its state folder", known.address),
        None => format!("`{daemon}`, which is not known any more"),
    };
    Ok(Error::Elsewhere { topic: topic.to_string(), rows: rows.unwrap_or(0), place })
}

/// Records that a topic's upload has ended while other daemons still have rows of it in their WALs.
/// Finalizing the sequence commits the topic. The caller holds the lock.
pub async fn uploaded(core: &Engine, row: &TopicRow, rows: u64) -> Result<()> {
    let record = UploadedRecord { rows, ended_ns: now_ns() };
    let path = SequencePaths(row.sequence_id).topic(row.id).uploaded();
    let change = core.catalog.begin(row.sequence_id, Some(path.as_ref())).await?;
    core.write_once(&change, &path, &record).await?;
    core.catalog.upload_ended(change, row.id, Some(rows)).await
}

/// Ends the put if another daemon has a later epoch, and cuts off the rows that the writer sent again.
pub async fn yield_to_successor(core: &Engine, cluster: &Cluster, topic: &Arc<ActiveTopic>) -> Result<()> {
    let epochs = core.catalog.epochs(topic.id()).await?;
    if epochs.last().is_some_and(|last| last.daemon != cluster.id()) {
        topic.end_writer().await;
    }
    for (epoch, next) in epochs.iter().zip(epochs.iter().skip(1)) {
        if epoch.daemon == cluster.id() {
            topic.cut(epoch.number, next.row_start).await?;
        }
    }
    // All rows that count are in chunks. A rebuilt catalog does not know the epochs of a committed topic any more.
    let row = core.catalog.topic_by_id(topic.id()).await?;
    if row.is_some_and(|row| row.committed_ns.is_some()) {
        let epochs: BTreeSet<u32> = topic.indices().iter().map(|segment| segment.epoch).collect();
        for epoch in epochs {
            topic.cut(epoch, 0).await?;
        }
    }
    Ok(())
}

/// Whether the writer sent rows of a segment, or all after `row_end`, to another daemon again.
pub fn is_superseded(epochs: &[EpochRow], segment: ChunkId, row_end: u64) -> bool {
    next_epoch(epochs, segment.epoch).is_some_and(|row_start| row_start < row_end)
}

/// The first row of the writer epoch after `epoch`: from there on, another daemon received the rows again.
pub fn next_epoch(epochs: &[EpochRow], epoch: u32) -> Option<u64> {
    epochs.iter().find(|next| Some(next.number) == epoch.checked_add(1)).map(|next| next.row_start)
}

/// Applies changes of other daemons to the topics that are active here: releases those that they took over or
/// deleted.
pub async fn follow_others(core: &Arc<Engine>, cluster: &Cluster) -> Result<()> {
    let busy = core.catalog.busy_parts(cluster.id()).await?;
    let live = core.live.all();
    for (topic, number, count) in busy {
        let open = live.iter().find(|live| live.id() == topic);
        if open.is_none_or(|open| !open.is_written() && open.indices().iter().all(|id| id.epoch != number)) {
            core.catalog.epoch_ended(topic, number, count).await?;
        }
    }
    if live.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = live.iter().map(|topic| topic.id()).collect();
    let topic_states = core.catalog.topic_states(&ids).await?;
    for topic in &live {
        match topic_states.iter().find(|fate| fate.topic == topic.id()) {
            None => reconcile::drop_deleted(core, topic).await?,
            Some(fate) => {
                let Some((last, daemon)) = &fate.last else { continue };
                let earlier = || topic.indices().iter().any(|id| id.epoch < *last);
                if daemon != cluster.id() || earlier() {
                    yield_to_successor(core, cluster, topic).await?;
                    for segment in topic.indices() {
                        if segment.epoch < *last || daemon != cluster.id() {
                            core.queue.enqueue(Job::Chunk(topic.id(), segment));
                        }
                    }
                    core.live.release(topic.id());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {

    use super::*;

    fn epoch(number: u32, row_start: u64, row_end: Option<u64>, busy: i64) -> EpochRow {
        let (daemon, resumed_at) = (format!("d{number}"), row_start);
        EpochRow { number, daemon, row_start, resumed_at, wal_in_store: false, row_end, busy }
    }

    fn chunk(epoch: u32, at: u32, row_start: u64, rows: u64) -> ChunkRow {
        let id = ChunkId { epoch, index: at };
        ChunkRow { id, row_start, rows, lost: 0, bytes: 1, data_bytes: 1, ts_min: 0, ts_max: 0, crc32: 0 }
    }

    #[test]
    fn rows_are_missing_until_each_part_reaches_the_next() {
        let epochs = [epoch(0, 0, None, 1), epoch(1, 100, Some(130), 0)];
        let tail = chunk(1, 0, 100, 30);
        let some = missing(&epochs, &[chunk(0, 0, 0, 60), tail], &[]);
        assert_eq!(some, [Missing { daemon: "d0".into(), rows: Some(40), in_store: false }]);
        assert!(missing(&epochs, &[chunk(0, 0, 0, 60), chunk(0, 1, 60, 40), tail], &[]).is_empty());
        let open = [epoch(0, 0, None, 3)];
        assert_eq!(missing(&open, &[], &[]), [Missing { daemon: "d0".into(), rows: None, in_store: false }]);
        let replicated = [EpochRow { wal_in_store: true, ..epoch(0, 0, None, 3) }];
        assert!(missing(&replicated, &[], &[])[0].in_store && !missing(&open, &[], &[])[0].in_store);
        assert!(missing(&[epoch(0, 0, None, 0)], &[], &[]).is_empty());
        let behind = [EpochRow { resumed_at: 10, ..epoch(0, 0, None, 0) }];
        assert_eq!(
            missing(&behind, &[chunk(0, 0, 0, 4)], &[]),
            [Missing { daemon: "d0".into(), rows: Some(6), in_store: false }]
        );
        assert!(missing(&[], &[], &[]).is_empty());
        let lost = DamagedSegment {
            id: ChunkId::first(0),
            kept: String::new(),
            lost: std::iter::once(60..95).collect(),
            found_ns: 0,
        };
        let rest = missing(&epochs, &[chunk(0, 0, 0, 60), tail], &[lost]);
        assert_eq!(rest, [Missing { daemon: "d0".into(), rows: Some(5), in_store: false }]);
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_begins() {
        let epochs = [epoch(0, 0, None, 1), epoch(1, 100, None, 1)];
        assert!(is_superseded(&epochs, ChunkId::first(0), 101));
        assert!(!is_superseded(&epochs, ChunkId::first(0), 100));
        assert!(!is_superseded(&epochs, ChunkId::first(1), 1_000));
    }
}
