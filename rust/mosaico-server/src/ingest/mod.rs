//! From a put stream to durable chunks: log segments first, Parquet in the background.
//!
//! [`put::PutSession`] appends to the log and acknowledges, [`chunker`] turns closed segments into chunks,
//! [`parts`] is what daemons that share a store agree on, [`store_log`] the log in the store, [`live`] is what readers, writers and the chunker share about a topic, [`recover`] picks up what an earlier
//! process left: [`scan`] finds the valid frames of its segments, and [`quarantine`] keeps segments that are damaged.

pub(crate) mod chunker;
pub(crate) mod commit;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod parts;
pub(crate) mod put;
pub(crate) mod quarantine;
pub(crate) mod reader;
pub(crate) mod recover;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod store_log;
