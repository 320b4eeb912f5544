//! Import of a folder of plain Parquet files, described by a [`Mapping`].

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

/// Previews an import. It reads only the footers of the files in `source`.
///
/// # Errors
/// [`Error::Startup`] if the mapping cannot be used, or names missing files.
pub fn plan_import(source: &StoreLocation, mapping: &Mapping) -> Result<ImportPlan> {
    Ok(plan(folder(source)?, mapping)?.preview())
}

/// The folder of the files.
pub(super) fn folder(source: &StoreLocation) -> Result<&Path> {
    match source {
        StoreLocation::Local(folder) => Ok(folder),
        StoreLocation::Bucket(_) => Err(Error::Startup(
            "plain Parquet files are read from a folder; copy them from the bucket to one".into(),
        )),
    }
}
