//! Damaged segments of the write-ahead log: kept below `damaged/`, told, and replaced by what is valid in them.
//!
//! Nothing that was acknowledged is removed without a copy: the damaged file is kept first, then the topic's record, the
//! catalog, an event and a notification name the lost rows, and only then the segment is replaced. A start that is cut short
//! in between does the same again, and finds what it noted.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use mosaico_catalog::TopicRow;
use mosaico_storage::crash_points;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{DamageRecord, DamagedSegment, lost_of, text, without};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::format::records::NotificationRecord;
use mosaico_storage::objects::blocking;
use mosaico_storage::objects::durable::{create_folders, sync_folder};
use mosaico_storage::wal::frame::{Frame, LogError, SegmentRows};
use mosaico_storage::wal::segment::{Inspected, inspect, segment_file, write_new};
use mosaico_types::id::{NotificationId, TopicId};
use mosaico_types::now_ns;
use object_store::path::Path as ObjectPath;

use crate::ingest::replicated_wal::replicas;
use crate::state::active_topic::Segment;
use crate::state::engine::Core;

/// Where damaged files are kept: below the state folder, or in the store.
pub const DAMAGED: &str = "damaged";

/// Replaces a damaged segment by one that has its valid frames, and those that the store has of its rows. `before` is the
/// end of the rows that came before the segment. Returns what is in it now; `None`: nothing. The caller holds the lock of
/// the sequence.
pub async fn recover(
    core: &Core,
    topic: &TopicRow,
    schema: &SchemaRef,
    index: ChunkId,
    before: u64,
) -> Result<Option<Segment>> {
    let (file, name) = (segment_file(&core.log_folder(topic.id), index), name(topic, index));
    let path = file.clone();
    let bytes = Bytes::from(blocking("reading a damaged segment", move || fs::read(path)).await?);
    let Inspected { scan, .. } = {
        let (bytes, schema, name) = (bytes.clone(), SchemaRef::clone(schema), name.clone());
        work(move || inspect(&bytes, &name, &schema).map_err(|e| e.into_error("reading a damaged segment")))
            .await?
    };
    let folder = core.log.with_file_name(DAMAGED);
    let (from, id) = (file.clone(), topic.id);
    let kept = blocking("keeping a damaged segment", move || keep(&from, &folder, id, index)).await?;

    let row_start = scan.row_start.unwrap_or(before);
    let lost = scan.lost(before);
    let mut frames: Vec<(u64, Frame)> =
        scan.frames.iter().map(|frame| (frame.rows.start, frame.frame(&bytes))).collect();
    if core.store.is_remote() {
        for rows in &lost {
            frames.extend(replicas(core, topic, schema, rows.clone()).await?);
        }
        frames.sort_by_key(|(row, _)| *row);
    }
    let found = frames.iter().map(|(row, frame)| *row..row + frame.rows);
    let known = topic.damage.iter().filter(|known| known.id == index);
    let lost = without(&lost, found.chain(known.flat_map(|known| known.lost.iter().cloned())));
    let what = scan.damage.first().map(|first| format!("at byte {}: {}", first.at, first.what));
    let damage = DamagedSegment { id: index, kept, lost, found_ns: now_ns() };
    let damage = note(core, topic, &damage, ("state folder", &what.unwrap_or_default())).await?;

    let schema = SchemaRef::clone(schema);
    let replaced = work(move || replace(&file, &name, &schema, row_start, &frames)).await?;
    Ok(replaced.map(|(end, rows)| {
        let rows = SegmentRows { row_start, lost: lost_of(&damage, index), ..rows };
        Segment { end, rows, closed: true, cut: false }
    }))
}

fn name(topic: &TopicRow, index: ChunkId) -> String {
    format!("segment {index} of topic `{}`", topic.locator)
}

async fn work<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = mosaico_storage::trace::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("recovering a damaged segment", e))?
}

/// Keeps a copy of a segment, durably; returns its path below the state folder. A copy that an earlier start has made is
/// found again.
fn keep(file: &Path, folder: &Path, topic: TopicId, index: ChunkId) -> io::Result<String> {
    create_folders(folder)?;
    let bytes = fs::read(file)?;
    for attempt in 1_u32.. {
        let name = match attempt {
            1 => format!("{topic}-{index}.wal"),
            more => format!("{topic}-{index}-{more}.wal"),
        };
        let path = folder.join(&name);
        match fs::read(&path) {
            Ok(known) if known != bytes => continue,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => copy(&bytes, &path)?,
            Err(e) => return Err(e),
        }
        sync_folder(folder)?;
        return Ok(format!("{DAMAGED}/{name}"));
    }
    Err(io::Error::other("too many damaged segments"))
}

/// Writes a file that is there as a whole or not at all.
fn copy(bytes: &[u8], to: &Path) -> io::Result<()> {
    use io::Write;
    let new: PathBuf = to.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    crash_points::point();
    fs::rename(&new, to)
}

/// Puts the valid frames in the place of the damaged segment; returns the end of the file, and what is in it.
fn replace(
    file: &Path,
    name: &str,
    schema: &SchemaRef,
    row_start: u64,
    frames: &[(u64, Frame)],
) -> Result<Option<(u64, SegmentRows)>> {
    let doing = "replacing a damaged segment";
    let failed = |e: io::Error| Error::internal(doing, e);
    let folder = file.parent().unwrap_or(Path::new("."));
    let new = file.with_extension("new");
    let end = write_new(&new, schema, row_start, frames)?;
    let bytes = fs::read(&new).map_err(failed)?;
    let written = inspect(&bytes, name, schema).map_err(|e: LogError| e.into_error(doing))?;
    crash_points::point();
    match written.rows {
        Some(_) => fs::rename(&new, file).map_err(failed)?,
        // All of it is below `damaged/`.
        None => fs::remove_file(&new).and_then(|()| fs::remove_file(file)).map_err(failed)?,
    }
    crash_points::point();
    sync_folder(folder).map_err(failed)?;
    Ok(written.rows.map(|rows| (end, rows)))
}

/// Keeps a copy of a damaged object of the write-ahead log in the store, of which the rows `lost` were to become the
/// segment `index`.
pub async fn object(
    core: &Core,
    path: &ObjectPath,
    bytes: &Bytes,
    index: ChunkId,
    lost: Vec<Range<u64>>,
) -> Result<DamagedSegment> {
    let kept = format!("{DAMAGED}/{path}");
    core.store.put(&ObjectPath::from(kept.as_str()), bytes.to_vec()).await?;
    Ok(DamagedSegment { id: index, kept, lost, found_ns: now_ns() })
}

/// Notes a damaged segment in the store and the catalog, with an event and a notification of its topic, and in the
/// log; returns all damage of the topic. `place` has the damaged file, and `what` is wrong with it. What was noted
/// before is not noted again. The caller holds the lock of the sequence.
pub async fn note(
    core: &Core,
    topic: &TopicRow,
    damage: &DamagedSegment,
    (place, what): (&str, &str),
) -> Result<Vec<DamagedSegment>> {
    let DamagedSegment { id, kept, lost, .. } = damage;
    let rows = match damage.rows() {
        0 => "no acknowledged row is known to be lost".to_owned(),
        1 => format!("1 acknowledged row is lost: row {} of the topic, counted from 0", text(lost)),
        rows => {
            format!("{rows} acknowledged rows are lost: rows {} of the topic, counted from 0", text(lost))
        }
    };
    let msg = format!(
        "segment {id} of the write-ahead log is damaged {what}; {rows}. All others were recovered. The damaged file is \
         kept as `{kept}` in the {place}: check the disk, and delete the file when nobody needs it any more"
    );
    tracing::error!(topic = %topic.locator, "{msg}");
    let known = core.catalog.topic_by_id(topic.id).await?.map(|row| row.damage).unwrap_or_default();
    if known.iter().any(|known| known.kept == *kept && (known.lost == *lost || lost.is_empty())) {
        return Ok(known);
    }
    let segments: Vec<DamagedSegment> = known.into_iter().chain([damage.clone()]).collect();
    let (sequence, paths) = (topic.sequence_id, SequencePaths(topic.sequence_id));
    let change = core.catalog.begin(sequence).await?;
    // An earlier start may have come as far as this.
    let notified = core.catalog.notifications(sequence, Some(topic.id)).await?;
    let notification = (!notified.iter().any(|known| known.msg == msg)).then(|| NotificationRecord {
        id: NotificationId::generate(),
        topic: Some(topic.id),
        notify_type: mosaico_wire::action::NOTIFY_ERROR.to_owned(),
        msg,
        created_ns: now_ns(),
    });
    if let Some(record) = &notification {
        core.store.create_json(&paths.notification(record.id), record).await?;
    }
    let record = DamageRecord { segments };
    core.store.put_json(&paths.topic(topic.id).damage(), &record).await?;
    core.catalog.topic_damaged(change, (sequence, topic.id), &record.segments, notification.as_ref()).await?;
    Ok(record.segments)
}
