//! Rows that are durable and not in a chunk yet.

use std::collections::BTreeSet;
use std::path::Path;

use super::Checked;
use crate::error::{Error, Result};
use crate::hold::LOG;
use crate::id::TopicId;
use crate::ingest::segment::{list_segments, scan, segment_file};

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
