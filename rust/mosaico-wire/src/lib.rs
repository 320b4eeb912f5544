//! The wire format between clients and daemons, with one encoder and one decoder for both ends.
//!
//! Bodies are those of Mosaico 0.2 ([`action`], [`command`], [`ticket`], [`metadata`], [`query`]). Native
//! extensions are additive and can be ignored: events and keep-alive ([`event`]), maintenance
//! ([`maintenance`]), signed links ([`link`]), acknowledgements on the put stream ([`command::PutAck`]), the error code header
//! ([`status`]), the server header ([`SERVER_HEADER`]) and the request ID ([`REQUEST_ID_HEADER`]).

pub mod action;
pub mod command;
pub mod damage;
pub mod event;
pub mod ipc;
pub mod link;
pub mod maintenance;
pub mod metadata;
pub mod query;
pub mod select;
pub mod status;
pub mod ticket;
pub mod zero_runs;

/// Response header that identifies a native daemon to a native client; the value is `mosaicolabs/<version>`.
pub const SERVER_HEADER: &str = "mosaico-server";
/// Header with the request ID: of a request, if its sender sets one, and of every answer of a native daemon.
/// The daemon's log has the same ID.
pub const REQUEST_ID_HEADER: &str = "x-request-id";
/// Header of a `do_get` that stays open and sends new rows until the topic is complete.
pub const FOLLOW_HEADER: &str = "mosaico-follow";

/// Header of a `do_get`: messages may have bodies without their runs of zeros, marked by [`ipc::ZERO_RUNS`].
pub const ZERO_RUNS_HEADER: &str = "mosaico-zero-runs";
/// Header of a `do_get`: the number of topics that are read together with this one. Their messages share the
/// memory budget of reads.
pub const TOGETHER_HEADER: &str = "mosaico-together";
/// Header of a `do_get`: rows of damaged chunks are left out, and reported at the end ([`damage`]).
pub const SKIP_DAMAGED_HEADER: &str = "mosaico-skip-damaged";
/// Header of a `do_get` that another daemon forwards: this daemon answers it from its own data.
pub const FORWARDED_HEADER: &str = "mosaico-forwarded";

/// Request header with the API key of the caller, as in Mosaico. `authorization: Bearer <key>` means the same.
pub const API_KEY_HEADER: &str = "mosaico-api-key-token";
/// Request header of a call by another daemon, or by a command, on the same store: proves that the caller has
/// the secret of the store.
pub const PEER_HEADER: &str = "mosaico-peer";

/// Response header of `do_put`: the daemon will acknowledge durable rows on the put stream.
pub const ACKS_HEADER: &str = "mosaico-acks";

/// The default port of daemons.
pub const DEFAULT_PORT: u16 = 6726;
