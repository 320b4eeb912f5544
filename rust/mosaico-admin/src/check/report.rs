//! What a check looks at, and what it found.

use std::collections::BTreeSet;

use mosaico_catalog::Catalog;
use mosaico_storage::objects::Store;
use mosaico_types::id::TopicId;
use mosaico_wire::maintenance::Problem;
use serde::Serialize;

/// What is looked at, and what is done about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Read every chunk: checksum, rows, order, statistics.
    pub deep: bool,
    /// Write anew what is damaged and told elsewhere.
    pub repair: bool,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Sequences of the store.
    pub sequences: u64,
    /// Their topics.
    pub topics: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Rows in the chunks.
    pub rows: u64,
    /// Rows that were acknowledged and are not in a chunk yet.
    pub log_rows: u64,
    /// Rows of logs in the store; they may be on the disk too, or in a chunk since.
    pub stored_log_rows: u64,
    /// Rows of chunks that are missing or damaged. All others can be read.
    pub lost_rows: u64,
    /// Files that no record names, which `mosaicod gc` removes.
    pub orphans: u64,
    /// Sequences that were not looked at, since daemons are recording them.
    pub in_progress: u64,
    /// Records of a newer version. They are not damaged; their sequences were not looked at, and are left as they are.
    pub newer: Vec<Problem>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl Checked {
    pub(crate) fn newer(&mut self, path: impl ToString, text: impl Into<String>) {
        self.newer.push(Problem { path: path.to_string(), text: text.into(), repaired: false });
    }

    pub(crate) fn add(&mut self, path: impl ToString, text: impl Into<String>) {
        self.problems.push(Problem { path: path.to_string(), text: text.into(), repaired: false });
    }
}

/// What is looked at together.
pub(crate) struct Check<'a> {
    pub(crate) store: &'a Store,
    /// `None` if it is missing or cannot be read.
    pub(crate) catalog: Option<Catalog>,
    pub(crate) options: CheckOptions,
    pub(crate) found: Checked,
    /// The catalog has to be made anew.
    pub(crate) stale: bool,
    /// The state folder.
    pub(crate) folder: &'a std::path::Path,
    /// Topics of sequences that a newer version wrote.
    pub(crate) unread: BTreeSet<TopicId>,
    /// Daemons are changing the store meanwhile, but not what is finalized.
    pub(crate) beside: bool,
}
