use std::fmt;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The result of a conversion step.
pub(super) type Result<T> = std::result::Result<T, Mismatch>;

/// Why a column does not fit the topic.
#[derive(Debug)]
pub struct Mismatch {
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
    Text(String),
    Other(ArrowError),
}

impl Mismatch {
    pub(super) fn new(what: What) -> Self {
        Self { path: Vec::new(), row: None, what }
    }

    /// A mismatch with an error text from another library.
    pub fn because(text: impl Into<String>) -> Self {
        Self::new(What::Text(text.into()))
    }

    /// Adds the row.
    #[must_use]
    pub fn at(self, row: usize) -> Self {
        Self { row: Some(row), ..self }
    }

    /// The dotted name of the column.
    pub fn column(&self) -> String {
        self.path.join(".")
    }

    /// Converts the row to another numbering.
    #[must_use]
    pub fn map_row(self, row: impl FnOnce(usize) -> usize) -> Self {
        Self { row: self.row.map(row), ..self }
    }

    /// Adds the column or field `parent` to the path.
    #[must_use]
    pub fn below(mut self, parent: &str) -> Self {
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
            What::Text(text) => write!(f, ": {text}"),
            What::Other(error) => write!(f, ": {error}"),
        }
    }
}

impl std::error::Error for Mismatch {}
