//! The Mosaico daemon as a library: a Flight service on a store, which is a folder or a bucket.
//!
//! Owns everything on a socket: Flight and HTTP services, TLS, request IDs, connections, peers; and the server
//! lifecycle. It installs no signal handlers and no runtime: it runs on the caller's tokio.
//!
//! May know: the engine and everything below it. Never belongs here: the logic of a call (the engine has
//! it), command lines (the crate `mosaicod`), clients.
//!
//! Start with [`Config`] and [`Server`]:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use mosaico_server::{Config, Server, StoreLocation};
//!
//! let server = Server::open(Config::new(StoreLocation::parse("recordings")?)).await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:6726").await?;
//! server.serve_tcp(listener, async { tokio::signal::ctrl_c().await.unwrap_or(()) }).await?;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod access;
mod brief;
mod connections;
mod http;
mod limits;
mod listen;
mod occasionally;
mod peers;
mod request_layer;
mod server;
mod service;

pub use access::{default_anonymous, default_monitoring};
pub use http::HttpServer;
pub use mosaico_engine::state::clock::ManualClock;
pub use mosaico_engine::state::config::Config;
pub use mosaico_engine::state::limits::{LARGEST_SIZE, Limits};
pub use mosaico_engine::state::process::resident_bytes;
pub use mosaico_storage::error::{Error, Failure, Result};
pub use mosaico_storage::format::durability::{Acknowledge, WalPlacement};

pub use mosaico_tls::{PeerIdentity, ServerFiles, ServerTls};

#[cfg(feature = "faults")]
pub use mosaico_storage::objects::faults;
pub use mosaico_storage::objects::location::StoreLocation;
pub use mosaico_storage::objects::{Bucket, Provider, Secret};
pub use mosaico_types::access::{AnonymousLevel, MonitoringLevel};
pub use server::Server;
