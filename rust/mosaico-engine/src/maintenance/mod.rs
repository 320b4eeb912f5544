//! Maintenance of a whole store with a running engine: compaction, and rebuilds of the catalog.

pub mod compact;
pub mod online_rebuild;
pub mod rebuild;
