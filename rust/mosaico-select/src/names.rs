//! Columns that every topic has.

/// The index column of every topic.
pub const TIMESTAMP: &str = "timestamp_ns";
/// The column with the time at which a row was recorded.
pub const RECORDING: &str = "recording_timestamp_ns";
