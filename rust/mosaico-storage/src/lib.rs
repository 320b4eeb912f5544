//! The contents of a store, and how to read and write them: formats, objects and the write-ahead log (WAL).
//!
//! Owns the layout of the store, the versions and checksums of its records, Parquet chunks, WAL segments, and
//! the access to a folder or a bucket within time limits.
//!
//! May know: Arrow, Parquet, `object_store`, the wire's names. Never belongs here: SQL, open sequences,
//! other daemons, any decision *when* to write or delete something.
//!
//! Layers, from the bottom: `error`, `service_text`, `damaged_chunk`, `timer`, `crash_points` → `format` → `objects` → `wal`.

// An internal crate of the workspace: its functions are documented; the names and types of most fields
// explain them.
#![allow(missing_docs)]

pub mod crash_points;
pub mod damaged_chunk;
pub mod error;
pub mod format;
pub mod keyed_mutex;
pub mod objects;
mod service_text;
pub mod timer;
pub mod trace;
pub mod wal;
