//! The catalog: what readers ask, derived from the store's records. All SQL of the daemon is here.
//!
//! Owns the tables in SQLite or Postgres, their migrations, the events that a change inserts, and the session
//! of locks and heartbeats of daemons that share a database.
//!
//! May know: records and states of the storage crate. Never belongs here: objects of the store, WAL files,
//! Arrow data, decisions about what a client may do.
//!
//! A change begins with [`Catalog::begin`] (its intent is recorded), goes to the store, and ends with one of
//! the methods that take the [`Change`]. An intent without an end, after a failure or a crash, is found by
//! [`Catalog::pending_intents`] and [`Catalog::pending`]; [`Catalog::apply_sequence`] then applies what the store
//! contains. Everything here can be rebuilt from the store.

// The crate is used only inside this workspace: its functions are documented; names and types explain most
// fields.
#![allow(missing_docs)]

mod apply_state;
mod bounds;
mod bulk_load;
mod candidates;
mod catalog;
mod changes;
mod database_error;
mod dead_sessions;
mod events;
mod fragments;

mod intents;
mod link;
mod listing;
mod members;
mod metadata;
mod open;
mod postgres;
mod query;
mod read;
mod rebuild;
mod recognize;
mod replace_rows;
mod rows;
mod session;
mod sql;
mod standing;
mod state;
mod write;
mod writer_epochs;

pub use bounds::{Kind, Overlap, Range};
pub use candidates::CandidateQuery;
pub use catalog::Catalog;
pub use events::EventFilter;
pub use intents::Change;
pub use listing::{ListOrder, ListPlace, ListRequest, ListedSequence};
pub use open::{Database, FILE};
pub use query::{ChunkStats, FoundSequence, FoundTopic};
pub use read::{ChunkRow, NotificationRow, SequenceRow, TopicRow};
pub use recognize::{CatalogFile, OwnStore, StoreLink};
pub use rows::storable_bounds;
pub use session::{LockGuard, Session, Share, StoreBusy};
pub use writer_epochs::EpochRow;
