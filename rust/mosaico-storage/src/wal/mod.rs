//! The write-ahead log: rows that are durable and not yet in a chunk, as segments of frames.

pub mod frame;
pub mod reader;
pub mod scan;
pub mod segment;
