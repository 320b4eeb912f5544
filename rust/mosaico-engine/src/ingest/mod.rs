//! From a put stream to durable chunks: the write-ahead log first, Parquet in the background.
//!
//! [`open_put`] checks a put and opens it; [`put::PutSession`] appends to the WAL and acknowledges; [`chunker`]
//! writes closed segments as chunks; [`commit`] completes a topic. [`recovery`] resumes with the WAL that an
//! earlier process left, [`salvage`] with the valid frames of damaged segments, and [`quarantine`] keeps a copy
//! of those. `wal_sink` appends to the WAL of a put; [`replicated_wal`] reads the one in the bucket, by the plan
//! of [`wal_plan`]. [`handover`] is the protocol by which daemons agree on the one that appends, [`adoption`] takes
//! a topic over whose writer and daemon are gone.

pub mod adoption;
pub mod chunker;
pub mod commit;
pub mod handover;
pub mod open_put;
pub mod put;
pub mod quarantine;
pub mod recovery;
pub mod replicated_read;
pub mod replicated_wal;
pub mod salvage;
pub mod wal_plan;
mod wal_sink;
