//! Reasons why a value does not fit into its column.

/// Why a value does not fit into its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// The column's Arrow type has no builder here.
    #[error(
        "column `{column}` has the type {data_type}, which cannot be written row by row; supported are \
         booleans, integers, floats, strings, binaries, lists, fixed-size lists and structs of these"
    )]
    Unsupported {
        /// Name of the column.
        column: String,
        /// Its Arrow type.
        data_type: String,
    },
    /// The integer exceeds the column's width.
    #[error("{value} is out of range for {data_type}")]
    OutOfRange {
        /// The integer.
        value: i128,
        /// The column's Arrow type.
        data_type: &'static str,
    },
    /// The column is not nullable.
    #[error("a value is required, None was given")]
    Null,
    /// A fixed-size list or binary of another length.
    #[error("{expected} items are required, {found} were given")]
    Length {
        /// Number of items that the type requires.
        expected: usize,
        /// Items given.
        found: usize,
    },
    /// More than 2 GiB in one batch of a column with 32-bit offsets.
    #[error("a value of {bytes} bytes exceeds the 2 GiB that 32-bit offsets can address")]
    TooLarge {
        /// Size of the value.
        bytes: usize,
    },
}
