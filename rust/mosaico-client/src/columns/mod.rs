//! Column builders that grow by one row at a time and can be cut back to an earlier length.
//!
//! Arrow's own builders cannot undo an append; these can, so that a row that fails half-way leaves no
//! trace and its neighbours stay intact.

mod column;
mod error;

pub use column::{Column, Fixed, FixedKind, Values};
pub use error::ColumnError;
