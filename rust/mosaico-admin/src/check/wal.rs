//! Rows that are durable and not in a chunk yet, on the disk and in the store.

use std::collections::BTreeSet;
use std::path::Path;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{LOG_FOLDER as LOG, parse_logged};
use mosaico_storage::format::state::TopicState;
use mosaico_storage::wal::segment::{list_segments, scan, scan_all, segment_file};
use mosaico_types::id::TopicId;
use object_store::path::Path as ObjectPath;

use super::report::{Check, Checked};

/// Checks the log; `topics` are those that the store has.
pub(super) fn check(root: &Path, topics: &BTreeSet<TopicId>, found: &mut Checked) -> Result<()> {
    let failed = |e| Error::internal("reading the ingest log", e);
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
            let path = format!("log/{name}/{index}.ipc");
            match scan(&segment_file(&folder, index)) {
                Ok(scan) => {
                    rows += scan.rows.map_or(0, |rows| rows.rows);
                    if scan.length > scan.whole {
                        let bytes = scan.length - scan.whole;
                        let text = format!(
                            "the last {bytes} bytes are no whole entries: a write that a crash cut short, or damage; \
                             the next start cuts them off"
                        );
                        found.add(path, text);
                    }
                }
                Err(error) => found.add(path, format!("the segment cannot be read: {error}")),
            }
        }
        found.log_rows += rows;
        if !topics.contains(&topic) && rows > 0 {
            found.add(
                format!("log/{name}"),
                format!("{rows} acknowledged rows are of a topic that the store lacks"),
            );
        }
    }
    Ok(())
}

/// Checks the log of an open topic in the store. Rows may be on the disk too, or in a chunk since.
pub(super) async fn check_stored(
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
        match scan_all(&bytes[..], bytes.len() as u64) {
            Ok(scan) if scan.rows.map_or(0, |found| found.rows) == rows => {
                check.found.stored_log_rows += rows
            }
            Ok(_) => check.found.add(path, format!("the object is damaged; {rows} rows are in its name")),
            Err(error) => check.found.add(path, format!("the object cannot be read: {error}")),
        }
    }
    Ok(())
}
