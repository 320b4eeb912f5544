//! The Mosaico daemon as a library: a Flight service on a store, which is a folder or a bucket.
//!
//! It records topics into sequences, keeps them as Parquet chunks with JSON records beside them, and reads them
//! back in time order. A put is appended to a local log and acknowledged when it would survive a power cut; chunks
//! are made of the log in the background. It installs no handlers and no runtime: it runs on the caller's tokio.
//! It is *not* the command line (see the crate `mosaicod`) and not a client.
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

mod batch;
mod calls;
mod catalog;
mod cluster;
mod config;
mod connections;
mod core;
mod crash;
mod disk;
mod error;
mod events;
mod fencing;
mod hold;
mod http;
mod id;
mod ingest;
mod layers;
mod lifecycle;
mod locks;
mod maintenance;
mod metrics;
mod process;
mod query;
mod read;
mod repair;
mod server;
mod service;
mod store;
mod tasks;
mod trace;
mod writers;

pub use config::{Acknowledge, Config, LogPlace, StoreLocation};
pub use error::{Error, Result};
pub use http::Monitor;
pub use maintenance::{
    CheckOptions, Checked, Collected, Compacted, ImportOptions, ImportPlan, Imported, Maintenance,
    PlannedSequence, PlannedTopic, Problem, Progress, Rebuilt, Stats, mapping, plan_import, rebuild,
};
pub use server::Server;
pub use service::Service;
#[cfg(feature = "faults")]
pub use store::faults;
pub use store::{Bucket, Provider, Secret};
