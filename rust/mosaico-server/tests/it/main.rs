//! Tests of the server through a Flight client. A single binary, since linking dominates the build time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod access;
mod access_changes;
mod answers;
mod audit;
mod cluster;
mod cluster_late_records;
mod cluster_leases;
mod common;
mod compact;
mod crash;
mod damage;
mod damaged_chunks;
mod database;
mod events;
mod faults;
mod fencing;
mod formats;
mod fuzz;
mod keyed;
mod late_writes;
mod lifecycle;
mod limits;
mod logging;
mod migrate;
mod model;
mod monitor;
mod online;
mod query;
mod query_data;
mod query_random;
mod query_vectors;
mod rebuild;
mod recovery;
mod repair;
mod replay;
mod replicated_wal;
mod robustness;
mod schema;
mod service;
mod tls;
mod vectors;
mod wire;
mod writers;
mod zero_runs;
