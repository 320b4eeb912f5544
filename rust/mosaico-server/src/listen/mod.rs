//! TCP connections with and without TLS, for gRPC and HTTP.

mod accept;
pub(crate) mod connection;
mod http_listener;
mod refusal;
mod warnings;

pub(crate) use accept::connections;
pub(crate) use connection::PeerFacts;
pub(crate) use http_listener::{HttpListener, HttpPeer};
