//! Replaces a damaged segment on the disk by its valid frames, and by replicas of the others from the bucket.

use std::path::{Path, PathBuf};
use std::{fs, io};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use mosaico_catalog::TopicRow;
use mosaico_storage::crash_points;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::damage::{DamagedSegment, lost_of, without};
use mosaico_storage::objects::blocking;
use mosaico_storage::objects::durable::{create_folders, sync_folder};
use mosaico_storage::wal::frame::{Frame, LogError, SegmentRows};
use mosaico_storage::wal::segment::{Inspected, inspect, segment_file, write_new};
use mosaico_types::id::TopicId;
use mosaico_types::now_ns;

use crate::ingest::quarantine;
use crate::ingest::replicated_wal::replicas;
use crate::state::active_topic::Segment;
use crate::state::engine::Engine;

/// Replaces a damaged segment by one with its valid frames and with those of its rows that the store has.
/// `before` is the end of the rows before the segment. Returns the content of the new segment; `None` if it
/// has no rows. The caller holds the lock of the sequence.
pub async fn recover(
    core: &Engine,
    topic: &TopicRow,
    schema: &SchemaRef,
    index: ChunkId,
    before: u64,
) -> Result<Option<Segment>> {
    let (file, name) = (segment_file(&core.wal_folder(topic.id), index), name(topic, index));
    let path = file.clone();
    let bytes = Bytes::from(blocking("reading a damaged segment", move || fs::read(path)).await?);
    let Inspected { scan, .. } = {
        let (bytes, schema, name) = (bytes.clone(), SchemaRef::clone(schema), name.clone());
        work(move || inspect(&bytes, &name, &schema).map_err(|e| e.into_error("reading a damaged segment")))
            .await?
    };
    let folder = core.log.with_file_name(quarantine::DAMAGED);
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
    let damage = quarantine::note(core, topic, &damage, ("state folder", &what.unwrap_or_default())).await?;

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

/// Copies a segment, durably; returns the path of the copy below the state folder. Reuses a copy that an
/// earlier start made.
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
        return Ok(format!("{}/{name}", quarantine::DAMAGED));
    }
    Err(io::Error::other("too many damaged segments"))
}

/// Writes a file atomically.
fn copy(bytes: &[u8], to: &Path) -> io::Result<()> {
    use io::Write;
    let new: PathBuf = to.with_extension("new");
    let mut file = fs::File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    crash_points::point();
    fs::rename(&new, to)
}

/// Replaces the damaged segment by its valid frames; returns the end of the file, and its content.
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
        // The complete segment has a copy below `damaged/`.
        None => fs::remove_file(&new).and_then(|()| fs::remove_file(file)).map_err(failed)?,
    }
    crash_points::point();
    sync_folder(folder).map_err(failed)?;
    Ok(written.rows.map(|rows| (end, rows)))
}
