//! The async client of Mosaico daemons, native and 0.2; no Python here.
//!
//! Start with [`Client`] (connections and control calls), [`Lane`] (one topic being written: buffer, batches,
//! background sending, acknowledgements) and [`Merge`] (topics being read, in time order). Rows enter through
//! [`RowBuffer`], a set of [`columns::Column`] builders that can undo a bad row.

mod batches;
mod call_layer;
mod calls;
mod client;
pub mod columns;
mod connection;
mod error;
mod health;
mod health_check;
mod incoming;
mod info;
mod keep_alive;
mod lane;
mod layout;
mod merge;
mod pool;
mod read_ahead;
mod received;
mod reconnect;
mod recording;
mod repeat;
mod route;
mod rows;
mod security;
mod stream;

pub use batches::{Batches, ReadPlan};
pub use client::Client;
pub use connection::{Addresses, Connector, Target};
pub use error::{Error, Result};
pub use info::{Endpoint, Info};
pub use keep_alive::KeepAlive;
pub use lane::{Lane, LaneBudget, LaneConfig, LaneStats, SpillConfig};
pub use merge::{Merge, Run, Step};
pub use mosaico_tls::ClientFiles;
pub use pool::Timeouts;
pub use read_ahead::ReadAhead;
pub use rows::{RawRows, RowBuffer};
pub use security::Security;
pub use stream::TopicStream;
