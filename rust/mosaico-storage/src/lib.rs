//! What lies in a store, and how it is read and written: formats, objects and the write-ahead log.
//!
//! Owns the layout of the store, the versions and checksums of its records, Parquet chunks, WAL segments, and the
//! access to a folder or a bucket within time limits.
//!
//! May know: Arrow, Parquet, `object_store`, the wire's names. Never belongs here: SQL, sequences that are open, other
//! daemons, anything that decides *when* something is written or deleted.
//!
//! Floors, from the ground: `error`, `timer`, `crash_points` → `format` → `objects` → `wal`.

// A crate of the workspace alone: its functions are documented, most fields say what they are by name and type.
#![allow(missing_docs)]

pub mod crash_points;
pub mod error;
pub mod format;
pub mod keyed_mutex;
pub mod objects;
pub mod timer;
pub mod trace;
pub mod wal;
