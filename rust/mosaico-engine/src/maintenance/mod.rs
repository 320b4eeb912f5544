//! Work on a whole store, with an engine on it: compaction, and rebuilds of the catalog.

pub mod compact;
pub mod online_rebuild;
pub mod rebuild;
