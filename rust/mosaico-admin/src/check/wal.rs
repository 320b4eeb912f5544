//! Checks the WAL: durable rows that are not in a chunk yet, on the local disk and in the store.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::damage::{DamagedSegment, count, text};
use mosaico_storage::format::paths::{WAL_FOLDER as LOG, parse_logged};
use mosaico_storage::format::state::TopicState;
use mosaico_storage::wal::frame::LogError;
use mosaico_storage::wal::scan::{DamagedBytes, scan};
use mosaico_storage::wal::segment::{list_segments, segment_file};
use mosaico_types::id::TopicId;
use object_store::path::Path as ObjectPath;

use crate::check::{Check, Checked};

/// Checks the WAL on the local disk; `topics` are those of the store.
pub(crate) fn check(root: &Path, topics: &BTreeSet<TopicId>, found: &mut Checked) -> Result<()> {
    let failed = |e| Error::internal("reading the WAL", e);
    let log = root.join(LOG);
    if !log.is_dir() {
        return Ok(());
    }
    for entry in log.read_dir().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let Ok(topic) = name.parse::<TopicId>() else { continue };
        let folder = log.join(&name);
        let mut rows = 0;
        for index in list_segments(&folder).map_err(failed)? {
            let path = format!("wal/{name}/{index}.wal");
            match std::fs::read(segment_file(&folder, index)).map(|bytes| scan(&bytes, &path)) {
                Ok(Ok(scan)) => {
                    rows += scan.rows();
                    if let Some(first) = scan.damage.first() {
                        let lost = scan.lost(scan.frames.first().map_or(0, |frame| frame.rows.start));
                        found.lost_rows += count(&lost);
                        found.add(&path, damaged(first, &lost, scan.rows()));
                    }
                    if scan.length > scan.whole {
                        let bytes = scan.length - scan.whole;
                        let text = format!(
                            "the last {bytes} bytes are not a whole frame: a write that a crash interrupted, and that was \
                             not acknowledged; the next start cuts them off"
                        );
                        found.add(path, text);
                    }
                }
                Ok(Err(error)) => unreadable(found, path, error),
                Err(error) => found.add(path, format!("the segment cannot be read: {error}")),
            }
        }
        found.log_rows += rows;
        if !topics.contains(&topic) && rows > 0 {
            found.add(
                format!("wal/{name}"),
                format!("{rows} acknowledged rows are of a topic that the store lacks"),
            );
        }
    }
    Ok(())
}

/// Checks the replicated WAL of an open topic. Its rows may also be on a local disk, or meanwhile in a chunk.
pub(crate) async fn check_stored(
    check: &mut Check<'_>,
    topic: &TopicState,
    folder: &ObjectPath,
    paths: impl Iterator<Item = &ObjectPath>,
) -> Result<()> {
    if topic.committed_ns.is_some() {
        return Ok(());
    }
    for path in paths.filter(|path| path.prefix_matches(folder)) {
        let Some(logged) = parse_logged(path) else { continue };
        let Some(bytes) = check.store.get(path).await? else { continue };
        let rows = logged.row_end - logged.row_start;
        match scan(&bytes, path.as_ref()) {
            Ok(scan) if scan.damage.is_empty() && scan.rows() == rows => check.found.stored_log_rows += rows,
            Ok(scan) => {
                let text = format!(
                    "the object is damaged; {} of the {rows} rows in its name are valid",
                    scan.rows()
                );
                check.found.add(path, text);
            }
            Err(error) => unreadable(&mut check.found, path, error),
        }
    }
    Ok(())
}

/// Reports a segment or an object whose rows are all unreadable.
fn unreadable(found: &mut Checked, path: impl ToString, error: LogError) {
    let text = error.to_string();
    match error.into_error("reading the WAL") {
        newer @ Error::NewerFormat { .. } => found.newer(path, newer.to_string()),
        _ => found.add(path, text),
    }
}

fn damaged(first: &DamagedBytes, lost: &[Range<u64>], valid: u64) -> String {
    let lost = match count(lost) {
        0 => "no row is known to be lost".to_owned(),
        rows => format!("{rows} acknowledged rows are lost: rows {} of the topic", text(lost)),
    };
    format!(
        "the segment is damaged at byte {}: {}; {lost}; the next start keeps a copy below `damaged/` and recovers the \
         {valid} rows that are valid",
        first.at, first.what
    )
}

/// Reports segments in quarantine: as long as rows are lost, or the damaged file exists.
pub(crate) async fn check_quarantine(
    check: &mut Check<'_>,
    damage: &[DamagedSegment],
    locator: &str,
) -> Result<()> {
    for DamagedSegment { id, kept, lost, .. } in damage {
        let is_kept =
            check.folder.join(kept).exists() || check.store.has(&ObjectPath::from(kept.as_str())).await?;
        let rows = count(lost);
        if rows == 0 && !is_kept {
            continue;
        }
        check.found.lost_rows += rows;
        let lost = match rows {
            0 => "no row is known to be lost".to_owned(),
            _ => format!("{rows} acknowledged rows are lost: rows {} of the topic", text(lost)),
        };
        let file = match is_kept {
            true => "the damaged file is kept here; delete it when nobody needs it any more",
            false => "the damaged file is not kept here any more",
        };
        let about = format!("segment {id} of the write-ahead log of `{locator}` was damaged; {lost}; {file}");
        check.found.add(kept, about);
    }
    Ok(())
}
