//! Where things lie below the store's root.
//!
//! ```text
//! owner.json                                               the server that has the bucket for itself
//! layers.json                                              all layers
//! seq/<sequence id>/sequence.json                          creation
//!                   final.json                             finalization, names the topics
//!                   ended.json                             left without finalization
//!                   deleted.json                           removal has begun
//!                   notify/<id>.json                       notification
//!                   topic/<topic id>/topic.json            creation
//!                                    schema.arrow          schema snapshot, IPC message of the first put
//!                                    chunk-00000.parquet   rows, sorted by time
//!                                    chunk-00000.json      what the chunk holds
//!                                    resumed.json          the writer went on after its connection broke
//!                                    damage.json           damaged segments of its log, and the rows that are lost
//!                                    part-00000.json       which daemon received the rows from here on, if several do
//!                                    uploaded.json         the upload has ended; rows are in the logs of daemons
//!                                    log/<segment>-<row>-<rows>.ipc  rows that are not in chunks yet, if the log is in the store
//!                                    commit.json           complete upload, names the chunks
//!                                    deleted.json          removal has begun
//! events/<event id>.json                                   events from that one on
//! ```

use object_store::path::Path;

use crate::id::{NotificationId, SequenceId, TopicId};

/// Root of all sequences.
pub(crate) const ROOT: &str = "seq";

/// The record of all layers.
pub(crate) fn layers_file() -> Path {
    Path::from("layers.json")
}

/// Whose bucket it is.
pub(crate) fn owner_file() -> Path {
    Path::from("owner.json")
}

/// Root of the events.
pub(crate) const EVENTS: &str = "events";

/// The record of events that begins with `first`.
pub(crate) fn events_file(first: &str) -> Path {
    Path::from(format!("{EVENTS}/{first}.json"))
}

/// Paths of one sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SequencePaths(pub SequenceId);

impl SequencePaths {
    pub(crate) fn folder(self) -> Path {
        Path::from(format!("{ROOT}/{}", self.0))
    }
    pub(crate) fn created(self) -> Path {
        Path::from(format!("{ROOT}/{}/sequence.json", self.0))
    }
    pub(crate) fn finalized(self) -> Path {
        Path::from(format!("{ROOT}/{}/final.json", self.0))
    }
    pub(crate) fn ended(self) -> Path {
        Path::from(format!("{ROOT}/{}/ended.json", self.0))
    }
    pub(crate) fn deleted(self) -> Path {
        Path::from(format!("{ROOT}/{}/deleted.json", self.0))
    }
    pub(crate) fn notifications(self) -> Path {
        Path::from(format!("{ROOT}/{}/notify", self.0))
    }
    pub(crate) fn notification(self, id: NotificationId) -> Path {
        Path::from(format!("{ROOT}/{}/notify/{id}.json", self.0))
    }
    pub(crate) fn topics(self) -> Path {
        Path::from(format!("{ROOT}/{}/topic", self.0))
    }
    pub(crate) fn topic(self, topic: TopicId) -> TopicPaths {
        TopicPaths { sequence: self.0, topic }
    }
}

/// Paths of one topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicPaths {
    pub(crate) sequence: SequenceId,
    pub(crate) topic: TopicId,
}

impl TopicPaths {
    fn file(self, name: &str) -> Path {
        Path::from(format!("{ROOT}/{}/topic/{}/{name}", self.sequence, self.topic))
    }
    pub(crate) fn folder(self) -> Path {
        Path::from(format!("{ROOT}/{}/topic/{}", self.sequence, self.topic))
    }
    pub(crate) fn created(self) -> Path {
        self.file("topic.json")
    }
    pub(crate) fn schema(self) -> Path {
        self.file("schema.arrow")
    }
    pub(crate) fn resumed(self) -> Path {
        self.file("resumed.json")
    }
    pub(crate) fn damage(self) -> Path {
        self.file("damage.json")
    }
    pub(crate) fn part(self, number: u32) -> Path {
        self.file(&format!("part-{number:05}.json"))
    }
    pub(crate) fn uploaded(self) -> Path {
        self.file("uploaded.json")
    }
    pub(crate) fn committed(self) -> Path {
        self.file("commit.json")
    }
    pub(crate) fn deleted(self) -> Path {
        self.file("deleted.json")
    }
    pub(crate) fn log(self) -> Path {
        self.file(LOG)
    }
    pub(crate) fn logged(self, rows: LoggedRows) -> Path {
        let LoggedRows { index, row_start, row_end } = rows;
        // Listings are in the order of arrival.
        self.file(&format!("{LOG}/{index:010}-{row_start:020}-{}.ipc", row_end - row_start))
    }
    pub(crate) fn chunk(self, index: u32) -> Path {
        self.file(&format!("chunk-{index:05}.parquet"))
    }
    pub(crate) fn chunk_record(self, index: u32) -> Path {
        self.file(&format!("chunk-{index:05}.json"))
    }
}

/// Folder of a topic's log in the store.
const LOG: &str = "log";

/// Rows of a segment that were synced together, in an object of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoggedRows {
    /// Of the segment.
    pub index: u32,
    /// Rows of the topic before them.
    pub row_start: u64,
    pub row_end: u64,
}

/// The rows of an object in the folder of a topic; `None`: it is not of the log.
pub(crate) fn parse_logged(path: &Path) -> Option<LoggedRows> {
    let (folder, name) = path.as_ref().rsplit_once('/')?;
    if folder.rsplit('/').next() != Some(LOG) {
        return None;
    }
    let mut numbers = name.strip_suffix(".ipc")?.split('-');
    let (index, row_start) = (numbers.next()?.parse().ok()?, numbers.next()?.parse::<u64>().ok()?);
    let row_end = row_start.checked_add(numbers.next()?.parse().ok()?)?;
    numbers.next().is_none().then_some(LoggedRows { index, row_start, row_end })
}

/// The number in the file name of a part's record.
pub(crate) fn parse_part(name: &str) -> Option<u32> {
    name.strip_prefix("part-")?.strip_suffix(".json")?.parse().ok()
}

/// The index in the file name of a chunk (`.parquet`) or of its record (`.json`).
pub(crate) fn parse_chunk(name: &str, ending: &str) -> Option<u32> {
    name.strip_prefix("chunk-")?.strip_suffix(ending)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logged_rows_read_back_and_are_in_order() {
        let topic = SequencePaths(SequenceId::generate()).topic(TopicId::generate());
        let rows = |index, row_start, row_end| LoggedRows { index, row_start, row_end };
        let all =
            [rows(0, 0, 9), rows(0, 9, 10), rows(0, 100, u64::MAX), rows(7, 3, 4), rows(u32::MAX, 0, 1)];
        let paths = all.map(|rows| topic.logged(rows));
        assert!(paths.is_sorted());
        assert_eq!(paths.map(|path| parse_logged(&path)), all.map(Some));
        for other in
            ["chunk-00000.json", "log/1-2.ipc", "log/1-2-3-4.ipc", "log/1-2-3.json", "notify/1-2-3.ipc"]
        {
            assert_eq!(parse_logged(&topic.file(other)), None, "{other}");
        }
    }
}
