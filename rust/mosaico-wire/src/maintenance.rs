//! Work on a whole store that its server does: the action `catalog_rebuild`, which is ours alone.

use serde::{Deserialize, Serialize};

/// Action names.
pub mod name {
    /// Makes the catalog anew from the store: [`crate::action::Nothing`] → any number of [`super::RebuildStep`], of
    /// which the last is the report.
    pub const CATALOG_REBUILD: &str = "catalog_rebuild";
    /// Every action of this kind, for tables and tests.
    pub const ALL: [&str; 1] = [CATALOG_REBUILD];
}

/// One of the answers to `catalog_rebuild`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebuildStep {
    /// How far it is.
    Progress(Progress),
    /// What it found.
    Rebuilt(Rebuilt),
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Sequences that are done.
    pub done: u64,
    /// Sequences in all.
    pub total: u64,
}

/// Something that is wrong in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The object, or the folder of a sequence.
    pub path: String,
    /// What is wrong, and what follows from it.
    pub text: String,
    /// It was put right.
    pub repaired: bool,
}

/// What a rebuild found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Sequences in the catalog.
    pub sequences: u64,
    /// Topics that this run took over.
    pub topics: u64,
    /// Sequences of an earlier run that was cut short; they were not read again.
    pub resumed: u64,
    /// Removals that were cut short; the next start finishes them.
    pub removals: u64,
    /// Sequences that the catalog of a running server had and the store does not have.
    pub taken_out: u64,
    /// Sequences that are left out, or as they were. Their files stay as they are.
    pub problems: Vec<Problem>,
}
