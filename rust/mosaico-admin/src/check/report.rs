//! Options and report of a check.

use std::collections::BTreeSet;

use mosaico_catalog::Catalog;
use mosaico_storage::objects::Store;
use mosaico_types::id::TopicId;
use mosaico_wire::maintenance::Problem;
use serde::Serialize;

/// Scope of a check, and whether it repairs.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Read every chunk: checksum, rows, order, statistics.
    pub deep: bool,
    /// Rewrite damaged records that have an intact copy.
    pub repair: bool,
}

/// The report of a check.
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
    /// Rows in the replicated WAL; they may also be on the local disk, or meanwhile in a chunk.
    pub stored_log_rows: u64,
    /// Rows of chunks that are missing or damaged. All others can be read.
    pub lost_rows: u64,
    /// Unreferenced files; `mosaicod gc` deletes them.
    pub orphans: u64,
    /// Sequences that were skipped because daemons are recording them.
    pub in_progress: u64,
    /// Records of a newer version. They are not damaged; the check skips their sequences and does not change
    /// them.
    pub newer: Vec<Problem>,
    /// The problems found.
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

/// The inputs and the state of a check.
pub(crate) struct Check<'a> {
    pub(crate) store: &'a Store,
    /// `None` if it is missing or cannot be read.
    pub(crate) catalog: Option<Catalog>,
    pub(crate) options: CheckOptions,
    pub(crate) found: Checked,
    /// The catalog has to be rebuilt.
    pub(crate) stale: bool,
    /// The state folder.
    pub(crate) folder: &'a std::path::Path,
    /// Topics of sequences with records of a newer version.
    pub(crate) unread: BTreeSet<TopicId>,
    /// Daemons may change the store at the same time, except for finalized sequences.
    pub(crate) beside: bool,
}
