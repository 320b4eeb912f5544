//! What lies in a store: paths, records with their versions and checksums, chunks, column statistics.
//!
//! Data and its encoding only; no file or object is opened here.

pub mod checksum;
pub mod chunk_file;
pub mod column_stats;
pub mod durability;
pub mod paths;
pub mod records;
pub mod schema;
pub mod state;
pub mod chunk_id;
pub mod record;
pub mod record_kind;
pub mod unreferenced;
