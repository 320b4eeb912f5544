//! What a daemon does with a store: it records, reads, queries, and keeps store and catalog in agreement.
//!
//! Owns open topics, locks of sequences, acknowledgements, chunks in the making, reads, queries and background work.
//!
//! May know: storage and catalog. Never belongs here: Flight, HTTP, command lines, maintenance of a store that no daemon
//! has open.
//!
//! Floors, from the ground; a floor knows those below it only:
//!
//! 1. `state`: [`state::engine::Engine`] and its parts. Data; no behaviour beyond keeping itself consistent.
//! 2. `access`: who may use a store. `reconcile`: catalog and store brought to agreement, under the lock of a sequence.
//! 3. `ingest`: put → WAL → acknowledgement → chunk → commit; recovery; hand-over between daemons.
//! 4. `read`, `lifecycle` (creation to removal of sequences).
//! 5. `query`, `maintenance` (compaction, rebuilds).
//! 6. `background`: what runs without a caller. `startup`: opening and ending an engine.

// A crate of the workspace alone: its functions are documented, most fields say what they are by name and type.
#![allow(missing_docs)]

pub mod access;
pub mod background;
pub mod ingest;
pub mod lifecycle;
pub mod maintenance;
pub mod query;
pub mod read;
pub mod reconcile;
pub mod startup;
pub mod state;
