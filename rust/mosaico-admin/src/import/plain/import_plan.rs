//! What an import would write, for people who want to see it first.

use std::collections::BTreeMap;

use mosaico_wire::maintenance::Problem;
use serde::Serialize;
use serde_json::{Map, Value};

/// What an import of plain Parquet files would write.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportPlan {
    /// By name.
    pub sequences: Vec<PlannedSequence>,
    /// Parquet files of the folder that the mapping does not name.
    pub left_out: Vec<String>,
    /// Sequences that would not be taken over.
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
    /// Where its rows come from, in this order.
    pub files: Vec<String>,
    /// In all files.
    pub rows: u64,
    /// What is taken for each of its columns, by the first of the files.
    pub columns: BTreeMap<String, String>,
}
