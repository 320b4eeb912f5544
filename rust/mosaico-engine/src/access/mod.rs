//! Access to a store: the lock of its folder, the owner of a bucket, the session of daemons that share one.

pub mod adopt;
pub mod owner;
pub mod store_access;
