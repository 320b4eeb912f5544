//! Background work: one queue for all of it, with retries.
//!
//! A job only names what is to be done. Whether there is still something to do, the job reads from the log, the store
//! and the catalog; a start finds open work there, so the queue itself need not be kept.

pub mod cluster;
mod failure;
pub mod garbage_collection;
mod housekeeping;
pub mod ownership;
mod worker;
pub mod writer_expiry;

pub use housekeeping::start;
