//! The write-ahead log (WAL): rows that are durable and not yet in a chunk, as segments of frames.

pub mod frame;
pub mod open_files;
pub mod reader;
pub mod scan;
pub mod segment;
