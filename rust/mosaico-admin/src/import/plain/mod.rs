//! A folder of plain Parquet files, and a [`Mapping`] that says what is in them.

pub(super) mod column_mapping;
pub(super) mod import_plan;
pub mod mapping;
mod ontologies;
mod pattern;
mod plan;
mod values;

use std::path::Path;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::objects::location::StoreLocation;

use import_plan::ImportPlan;
use mapping::Mapping;
pub(super) use plan::plan;

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
