//! Maintenance of a whole store by its server: the action `catalog_rebuild`, which only native daemons have.

use serde::{Deserialize, Serialize};

/// Action names.
pub mod name {
    /// Rebuilds the catalog from the store: [`crate::action::Nothing`] → any number of
    /// [`super::RebuildStep`], of which the last is the report.
    pub const CATALOG_REBUILD: &str = "catalog_rebuild";
    /// Every action of this kind, for tables and tests.
    pub const ALL: [&str; 1] = [CATALOG_REBUILD];
}

/// One of the answers to `catalog_rebuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildStep {
    /// The progress.
    Progress(Progress),
    /// The report.
    Rebuilt(Rebuilt),
}

/// Progress of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Sequences that are done.
    pub done: u64,
    /// Sequences in all.
    pub total: u64,
}

/// A problem of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The object, or the folder of a sequence.
    pub path: String,
    /// The problem and its consequences.
    pub text: String,
    /// The problem was repaired.
    pub repaired: bool,
}

/// The report of a rebuild.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Sequences in the catalog.
    pub sequences: u64,
    /// Topics that this run added.
    pub topics: u64,
    /// Sequences of an earlier, interrupted run; they were not read again.
    pub resumed: u64,
    /// Interrupted removals; the next start finishes them.
    pub removals: u64,
    /// Sequences that were in the catalog of a running server and not in the store.
    pub taken_out: u64,
    /// Sequences that were left out or not changed. Their files stay as they are.
    pub problems: Vec<Problem>,
}
