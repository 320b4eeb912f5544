//! Columns and rows picked out of the batches of a topic, and how conditions on values are compared; no I/O.
//!
//! Start with [`Select`]: the columns that are wanted and the rows that match, ready for one schema. The daemon runs it
//! while it reads files ([`Projection::leaves`], [`verdict`] over statistics), the client where a daemon cannot.

mod check;
mod columns;
mod conform;
mod filter;
mod names;
mod pattern;
mod project;
mod select;
mod size;

pub use check::{Check, LeafCheck, Verdict};
pub use columns::{Column, find, float, integer, is_list, text};
pub use conform::{Mismatch, conform, exactly, nanoseconds};
pub use filter::{FieldTest, RowExpr, RowTest, below_tag, compile, matching, verdict};
pub use names::{RECORDING, TIMESTAMP};
pub use pattern::Pattern;
pub use project::{ColumnError, Projection};
pub use select::{Select, SelectError};
pub use size::{data_bytes, split};
