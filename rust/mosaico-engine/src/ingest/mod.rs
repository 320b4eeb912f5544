//! From a put stream to durable chunks: log segments first, Parquet in the background.
//!
//! [`put::PutSession`] appends to the log and acknowledges, [`chunker`] turns closed segments into chunks,
//! [`parts`] is what daemons that share a store agree on, [`store_log`] the log in the store, [`live`] is what readers, writers and the chunker share about a topic, [`recover`] picks up what an earlier
//! process left.

pub mod chunker;
pub mod commit;
pub mod handover;
pub mod put;
pub mod recovery;
pub mod replicated_wal;
