//! Access to a store: the lock of its folder, the owner of a bucket, the session of daemons that share one;
//! and the API keys of its callers.

pub mod adopt;
pub mod keys;
pub mod link;
pub mod owner;
pub mod secret;
pub mod store_access;
pub mod store_link;
