//! What a cluster changes: the two implementations of
//! [`Coordinator`](crate::state::engine::Coordinator), of which an engine has one.

pub mod cluster;
pub mod single_node;
pub mod store_heartbeats;
