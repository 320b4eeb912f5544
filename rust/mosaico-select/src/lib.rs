//! Selects columns and rows from the batches of a topic, and defines the comparison of values; no I/O.
//!
//! Start with [`Select`]: the requested columns and the condition on rows, compiled for one schema. The
//! daemon evaluates it while it reads files ([`Projection::leaves`], [`verdict`] over statistics); the client
//! evaluates it if a daemon cannot.

mod check;
mod columns;
mod conform;
mod filter;
mod names;
mod numbers;
mod pattern;
mod project;
mod select;
mod size;

pub use check::{Check, LeafCheck, Verdict};
pub use columns::{Column, find, float, integer, is_list, text};
pub use conform::{Mismatch, conform, exactly, nanoseconds};
pub use filter::{FieldTest, RowExpr, RowTest, below_tag, compile, matching, verdict};
pub use names::{RECORDING, TIMESTAMP};
pub use numbers::numbers;
pub use pattern::Pattern;
pub use project::{ColumnError, Projection};
pub use select::{Select, SelectError};
pub use size::{array_bytes, data_bytes, split};
