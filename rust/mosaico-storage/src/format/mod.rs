//! The contents of a store: paths, records with their versions and checksums, chunks, column statistics.
//!
//! Data and its encoding only; this module opens no file or object.

pub mod api_keys;
pub mod barrier;
pub mod block_sums;
pub mod checksum;
pub mod chunk_file;
pub mod chunk_id;
mod chunk_properties;
pub mod column_stats;
pub mod damage;
pub mod durability;
pub mod paths;
pub mod record;
pub mod record_kind;
pub mod records;
pub mod schema;
pub mod state;
pub mod unreferenced;
