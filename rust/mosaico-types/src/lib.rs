//! Names, locators, time and error kinds that every other crate shares.
//!
//! No I/O and no async here: anything may depend on this crate. Start with [`SequenceName`],
//! [`TopicLocator`] and [`TimeWindow`].

mod error;
mod format;
mod name;
mod time;

pub use error::ErrorKind;
pub use format::SerializationFormat;
pub use name::{MAX_NAME_BYTES, NameError, SequenceName, TopicLocator, TopicPath};
pub use time::{TimeWindow, format_utc, now_ns, parse_utc};
