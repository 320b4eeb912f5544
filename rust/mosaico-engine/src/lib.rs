//! The engine of a daemon: it records, reads and queries a store, and keeps store and catalog consistent.
//!
//! Owns active topics, locks of sequences, acknowledgements, chunks in progress, reads, queries and
//! background work.
//!
//! May know: storage and catalog. Never belongs here: Flight, HTTP, command lines, maintenance of a
//! store that no daemon has open.
//!
//! Layers, bottom up; a layer depends only on those below it:
//!
//! 1. `state`: [`state::engine::Engine`] and its fields. Data; no behaviour beyond keeping itself consistent.
//! 2. `access`: exclusive and shared access to a store. `reconcile`: reconciles catalog and store, under the
//!    lock of a sequence.
//! 3. `ingest`: put → WAL → acknowledgement → chunk → commit; recovery; hand-over between daemons.
//! 4. `coordinator`: what a cluster changes. `state` declares the trait, so that all layers can call it.
//! 5. `read`, `lifecycle` (creation to removal of sequences).
//! 6. `query`, `maintenance` (compaction, rebuilds).
//! 7. `background`: work without a caller. `startup`: opening and ending an engine.

// This crate is internal to the workspace: its functions are documented, most fields are named and typed to
// be clear.
#![allow(missing_docs)]

pub mod access;
pub mod background;
pub mod coordinator;
pub mod ingest;
pub mod lifecycle;
pub mod maintenance;
pub mod query;
pub mod read;
pub mod reconcile;
pub mod startup;
pub mod state;
