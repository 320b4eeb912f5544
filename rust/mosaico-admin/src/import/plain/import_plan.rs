//! A preview of an import for people.

use std::collections::BTreeMap;

use mosaico_wire::maintenance::Problem;
use serde::Serialize;
use serde_json::{Map, Value};

/// The result of an import of plain Parquet files, before it runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportPlan {
    /// By name.
    pub sequences: Vec<PlannedSequence>,
    /// Parquet files of the folder that the mapping does not match.
    pub left_out: Vec<String>,
    /// Sequences that the import would skip.
    pub problems: Vec<Problem>,
}

/// A sequence of an [`ImportPlan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedSequence {
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// In the order of the mapping.
    pub topics: Vec<PlannedTopic>,
}

/// A topic of an [`ImportPlan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedTopic {
    /// Its name.
    pub name: String,
    /// The class of its rows.
    pub ontology_tag: String,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// The files of its rows, in this order.
    pub files: Vec<String>,
    /// Rows in all files.
    pub rows: u64,
    /// The source of each column in the first file.
    pub columns: BTreeMap<String, String>,
}
