//! Columns that every topic has.

/// The index column of every topic.
pub const TIMESTAMP: &str = "timestamp_ns";
/// The column that tells when a row was recorded.
pub const RECORDING: &str = "recording_timestamp_ns";
