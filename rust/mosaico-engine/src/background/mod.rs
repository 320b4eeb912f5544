//! Background work: one queue for all of it, with retries.
//!
//! A job only names the work. The job determines from the WAL, the store and the catalog whether there is
//! still something to do; a start finds open work there, so the queue itself is not persisted.

pub mod cluster;
mod damage;
mod failure;
pub mod garbage_collection;
mod housekeeping;
pub mod ownership;
mod scrub;
mod worker;
pub mod writer_expiry;

pub use housekeeping::start;
