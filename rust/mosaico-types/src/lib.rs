//! Names, locators, time, error kinds and outages of peers that every other crate shares.
//!
//! No I/O and no async here: anything may depend on this crate. Start with [`SequenceName`],
//! [`TopicLocator`] and [`TimeWindow`].

pub mod access;
mod error;
mod format;
pub mod id;
mod name;
mod outage;
mod printable;
mod time;

pub use error::{ErrorCode, ErrorKind};
pub use format::SerializationFormat;
pub use name::{LayerName, MAX_NAME_BYTES, NameError, OntologyTag, SequenceName, TopicLocator, TopicPath};
pub use outage::Outage;
pub use printable::printable;
pub use time::{TimeWindow, format_rfc3339, format_utc, now_ns, parse_rfc3339, parse_utc};
