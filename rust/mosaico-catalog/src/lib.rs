//! The catalogue: what readers ask, derived from the store's records. All SQL is in this folder.
//!
//! A change begins with [`Catalog::begin`], goes to the store, and ends with one of the methods that take the
//! [`Change`]. Changes that were cut short, by a failure or a crash, are found by [`Catalog::unsettled`] and
//! [`Catalog::pending`], and [`Catalog::settle_sequence`] takes over what the store says then.

// A crate of the workspace alone: its functions are documented, most fields say what they are by name and type.
#![allow(missing_docs)]

mod apply_state;
mod bounds;
mod bulk_load;
mod candidates;
mod catalog;
mod database_error;
mod events;
mod fragments;
mod intents;
mod members;
mod metadata;
mod open;
mod postgres;
mod query;
mod read;
mod rebuild;
mod replace_rows;
mod rows;
mod session;
mod sql;
mod state;
mod write;
mod writer_epochs;

pub use bounds::{Kind, Overlap, Range};
pub use candidates::Wanted;
pub use catalog::Catalog;
pub use events::EventFilter;
pub use intents::Change;
pub use open::{Database, FILE};
pub use query::{ChunkStats, FoundSequence, FoundTopic};
pub use read::{ChunkRow, NotificationRow, SequenceRow, TopicRow};
pub use rows::storable_bounds;
pub use session::{Session, Share, Taken, Turn};
pub use writer_epochs::PartRow;
