//! From a put stream to durable chunks: the write-ahead log first, Parquet in the background.
//!
//! [`put::PutSession`] appends to the WAL and acknowledges; [`chunker`] turns closed segments into chunks; [`commit`]
//! completes a topic. [`recovery`] picks up the WAL that an earlier process left, [`salvage`] what is valid
//! in damaged segments, and [`quarantine`] keeps a copy of those. [`replicated_wal`] is the WAL in the bucket, [`handover`] the agreement of daemons on who appends.

pub mod chunker;
pub mod commit;
pub mod handover;
pub mod put;
pub mod quarantine;
pub mod recovery;
pub mod replicated_wal;
pub mod salvage;
