//! A folder of plain Parquet files, and a [`Mapping`] that says what is in them.

pub mod mapping;
mod ontologies;
mod pattern;
mod plan;
mod recipe;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::Problem;
use crate::config::StoreLocation;
use crate::error::{Error, Result};
use mapping::Mapping;
pub(super) use plan::plan;
pub(super) use recipe::{FileRecipe, Recipe};

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

/// Looks at the files of `source`, of which only the descriptions are read, and tells what an import would do.
///
/// # Errors
/// [`Error::Startup`] if the mapping cannot be used, or names files that are not there.
pub fn plan_import(source: &StoreLocation, mapping: &Mapping) -> Result<ImportPlan> {
    Ok(plan(folder(source)?, mapping)?.told())
}

/// Where the files lie.
pub(super) fn folder(source: &StoreLocation) -> Result<&Path> {
    match source {
        StoreLocation::Local(folder) => Ok(folder),
        StoreLocation::Bucket(_) => Err(Error::Startup(
            "plain Parquet files are read from a folder; copy them from the bucket to one".into(),
        )),
    }
}
