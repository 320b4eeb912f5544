//! Column builders that grow by one row at a time and can be truncated to an earlier length.
//!
//! Arrow's own builders cannot undo an append. These builders can, so a row that fails half-way is rolled
//! back completely and does not affect its neighbours.

mod column;
mod error;
mod fixed;

pub use column::{Column, Values};
pub use error::ColumnError;
pub use fixed::{Fixed, FixedKind};
