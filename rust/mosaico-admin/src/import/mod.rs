//! Import of foreign data.
//!
//! The import only reads the source. It writes a sequence under a tombstone, which it deletes after all files
//! are written and compared: the sequence appears atomically, and a crash leaves a removal that the next
//! start finishes. An interrupted import resumes with the sequences that are still missing.

mod guarded;
mod mosaico;
mod native_store;
mod plain;
mod rows;
mod sequence;
mod source;

use std::path::Path;

use mosaico_catalog::Catalog;
use mosaico_engine::access::store_access::StoreAccess;
use mosaico_engine::state::config::Config;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::paths::{ROOT, SequencePaths};
use mosaico_storage::objects::Store;
use mosaico_storage::objects::location::StoreLocation;
use mosaico_types::id::SequenceId;
use mosaico_wire::maintenance::{Problem, Progress};
use serde::Serialize;

pub use plain::import_plan::{ImportPlan, PlannedSequence, PlannedTopic};
use plain::mapping::Mapping;
pub use plain::{mapping, plan_import};
use sequence::Written;
use source::SourceSequence;

/// Source and options of an import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Another native store, the store folder of a `mosaicod` 0.2 to 0.4, or a folder of plain Parquet files.
    pub source: StoreLocation,
    /// Stores of Mosaico do not record which sequences are finalized: treat all as finalized. Without this
    /// option they are only reported. Native stores record it.
    pub assume_finalized: bool,
    /// The mapping of plain Parquet files.
    pub mapping: Option<Mapping>,
}

/// The report of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Sequences that the import added to the store.
    pub sequences: Vec<String>,
    /// Their topics.
    pub topics: u64,
    /// Their rows.
    pub rows: u64,
    /// Sequences that the store had before.
    pub present: Vec<String>,
    /// Sequences that are still being recorded, or that may be incomplete.
    pub undecided: Vec<String>,
    /// Plain Parquet files that the mapping does not match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Sequences that were not imported. The store has nothing of them.
    pub problems: Vec<Problem>,
}

impl Imported {
    /// Records the outcome of a sequence; fails if the target is not writable.
    fn note(&mut self, name: String, path: String, written: Result<Written>) -> Result<()> {
        match written {
            Ok(written) => {
                self.topics += written.topics;
                self.rows += written.rows;
                self.sequences.push(name);
            }
            Err(error @ (Error::Full(_) | Error::Internal(_) | Error::StoreUnavailable(_))) => {
                return Err(error);
            }
            Err(error) => {
                let text = format!("sequence `{name}` is not imported: {error}");
                self.problems.push(Problem { path, text, repaired: false });
            }
        }
        Ok(())
    }
}

/// A running import.
struct Import<'a> {
    target: &'a Store,
    catalog: &'a Catalog,
    config: &'a Config,
    progress: &'a (dyn Fn(Progress) + Sync),
}

/// Imports into a store to which the caller has exclusive access.
pub(crate) async fn run(
    target: &StoreAccess,
    catalog: &Catalog,
    config: &Config,
    options: &ImportOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Imported> {
    let import = Import { target: &target.store, catalog, config, progress };
    import.finish_interrupted().await?;
    if let Some(mapping) = &options.mapping {
        let folder = plain::folder(&options.source)?;
        check_apart(folder, &target.folder)?;
        return import.plain(folder, mapping).await;
    }
    match &options.source {
        StoreLocation::Local(folder) => {
            check_apart(folder, &target.folder)?;
            if folder.join(ROOT).is_dir() {
                import.ours(&options.source).await
            } else {
                import.mosaico(folder, options.assume_finalized).await
            }
        }
        source if *source == config.store => Err(Error::Startup("the source is the store itself".into())),
        StoreLocation::Bucket(_) => import.ours(&options.source).await,
    }
}

impl Import<'_> {
    /// Adds sequences to the catalog that an earlier, interrupted import completed in the store.
    async fn finish_interrupted(&self) -> Result<()> {
        for id in self.catalog.pending().await? {
            let known = self.catalog.sequence_by_id(id).await?.is_some();
            match self.target.load_sequence(id).await? {
                Some(state)
                    if !known
                        && native_store::is_complete(&state)
                        && self.catalog.find_sequence(&state.record.name).await?.is_none() =>
                {
                    self.catalog.adopt(&state).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn plain(&self, folder: &Path, mapping: &Mapping) -> Result<Imported> {
        let (folder, mapping) = (folder.to_owned(), mapping.clone());
        let plan = sequence::blocking(move || plain::plan(&folder, &mapping)).await?;
        let (found, problems, left_out) = plan.into_sources();
        self.folders(found, true, Imported { problems, left_out, ..Imported::default() }).await
    }

    async fn mosaico(&self, folder: &Path, assume_finalized: bool) -> Result<Imported> {
        let (found, problems) = mosaico::scan(folder)?;
        self.folders(found, assume_finalized, Imported { problems, ..Imported::default() }).await
    }

    async fn folders(
        &self,
        found: Vec<SourceSequence>,
        is_complete: bool,
        mut imported: Imported,
    ) -> Result<Imported> {
        let total = found.len() as u64;
        for (done, source) in (0..).zip(found) {
            (self.progress)(Progress { done, total });
            let name = source.name.to_string();
            if self.catalog.find_sequence(&source.name).await?.is_some() {
                imported.present.push(name);
            } else if !is_complete {
                imported.undecided.push(name);
            } else {
                let path = source.folder.display().to_string();
                let written = sequence::write(self.target, self.catalog, self.config, source).await;
                imported.note(name, path, written)?;
            }
        }
        (self.progress)(Progress { done: total, total });
        Ok(imported)
    }

    async fn ours(&self, location: &StoreLocation) -> Result<Imported> {
        let source =
            Store::open_to_read(&Config { store: location.clone(), ..self.config.clone() }.read_options())?;
        let mut ids = source.sequences().await?;
        ids.sort_unstable();
        let known = self.catalog.sequence_ids().await?;
        let mut imported = Imported::default();
        let total = ids.len() as u64;
        for (done, id) in (0..).zip(ids) {
            (self.progress)(Progress { done, total });
            self.sequence_of_ours(&source, id, known.contains(&id), &mut imported).await?;
        }
        native_store::copy_layers(&source, self.target).await?;
        (self.progress)(Progress { done: total, total });
        Ok(imported)
    }

    async fn sequence_of_ours(
        &self,
        source: &Store,
        id: SequenceId,
        is_known: bool,
        imported: &mut Imported,
    ) -> Result<()> {
        let path = SequencePaths(id).folder().to_string();
        let state = match native_store::load(source, id).await {
            Ok(Some(state)) => state,
            Ok(None) => return Ok(()),
            Err(error) => return imported.note(id.to_string(), path, Err(error)),
        };
        let name = state.record.name.to_string();
        if is_known || self.catalog.find_sequence(&state.record.name).await?.is_some() {
            imported.present.push(name);
        } else if !native_store::is_complete(&state) {
            imported.undecided.push(name);
        } else {
            let written = native_store::copy(source, self.target, self.catalog, state).await;
            imported.note(name, path, written)?;
        }
        Ok(())
    }
}

/// Refuses a source inside the target, and a target inside the source.
fn check_apart(source: &Path, target: &Path) -> Result<()> {
    let real = |path: &Path| {
        path.canonicalize().map_err(|e| Error::Startup(format!("cannot read {}: {e}", path.display())))
    };
    let (from, to) = (real(source)?, real(target)?);
    if from.starts_with(&to) || to.starts_with(&from) {
        return Err(Error::Startup(format!(
            "{} and {} lie in each other; import into a store of its own",
            source.display(),
            target.display()
        )));
    }
    Ok(())
}
