use std::fmt;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use mosaico_types::ErrorKind;

use crate::Error;

/// Why a column is not one of the topic's.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Names from the outside in.
    path: Vec<String>,
    row: Option<usize>,
    what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Unknown { known: Vec<String> },
    Twice,
    NoStruct { expected: DataType },
    Missing { expected: DataType },
    Type { expected: DataType, given: DataType },
    Null { expected: DataType },
    Value { expected: DataType, value: String },
    Length { expected: usize, given: usize },
    Other(ArrowError),
}

impl Mismatch {
    pub(super) fn new(what: What) -> Self {
        Self { path: Vec::new(), row: None, what }
    }

    pub(super) fn at(self, row: usize) -> Self {
        Self { row: Some(row), ..self }
    }

    /// In a row counted otherwise.
    pub(crate) fn map_row(self, row: impl FnOnce(usize) -> usize) -> Self {
        Self { row: self.row.map(row), ..self }
    }

    pub(super) fn below(mut self, parent: &str) -> Self {
        self.path.insert(0, parent.to_owned());
        self
    }
}

impl From<ArrowError> for Mismatch {
    fn from(error: ArrowError) -> Self {
        Self::new(What::Other(error))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_slice() {
            [] => write!(f, "the columns")?,
            path => write!(f, "column `{}`", path.join("."))?,
        }
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        match &self.what {
            What::Unknown { known } => write!(f, ": there is no such column, only `{}`", known.join("`, `")),
            What::Twice => write!(f, ": given twice, or as a struct and by its fields"),
            What::NoStruct { expected } => write!(f, ": the column above is {expected}, which has no fields"),
            What::Missing { expected } => write!(f, ": missing; {expected} is required"),
            What::Type { expected, given } => write!(f, ": {given} was given, {expected} is required"),
            What::Null { expected } => write!(f, ": null was given, {expected} is required"),
            What::Value { expected, value } => write!(f, ": {expected} cannot hold {value} without loss"),
            What::Length { expected, given } => {
                write!(f, ": {given} items were given, {expected} are required")
            }
            What::Other(error) => write!(f, ": {error}"),
        }
    }
}

impl From<Mismatch> for Error {
    fn from(mismatch: Mismatch) -> Self {
        Self::new(ErrorKind::InvalidInput, mismatch.to_string())
    }
}
