//! Taking over what was written by others.
//!
//! The source is only read. A sequence is written under a tombstone, which goes when everything is there and was read
//! back: it appears as a whole, and what a crash leaves is a removal to be finished. An import that was cut short goes
//! on with the sequences that are not there yet.

mod mosaico;
mod rows;
mod sequence;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Problem, Progress};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::hold::Hold;

/// What is imported, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// The folder of the store of a `mosaicod` 0.2 to 0.4.
    pub source: PathBuf,
    /// Such a store does not say which sequences are finalized: take all of them for it. Without this they are only
    /// reported.
    pub assume_finalized: bool,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Sequences that are in the store now and were not before.
    pub sequences: Vec<String>,
    /// Their topics.
    pub topics: u64,
    /// Their rows.
    pub rows: u64,
    /// Sequences that the store has already.
    pub present: Vec<String>,
    /// Sequences of which nothing tells whether they are complete.
    pub undecided: Vec<String>,
    /// What was not taken over. Nothing of these sequences is in the store.
    pub problems: Vec<Problem>,
}

/// Imports into the store that is held.
pub(super) async fn run(
    target: &Hold,
    catalog: &Catalog,
    config: &Config,
    options: &ImportOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Imported> {
    check_apart(&options.source, &target.folder)?;
    let (found, problems) = mosaico::scan(&options.source)?;
    let mut imported = Imported { problems, ..Imported::default() };
    let total = found.len() as u64;
    for (done, source) in (0..).zip(found) {
        progress(Progress { done, total });
        let name = source.name.to_string();
        if catalog.find_sequence(&source.name).await?.is_some() {
            imported.present.push(name);
        } else if !options.assume_finalized {
            imported.undecided.push(name);
        } else {
            let path = source.folder.display().to_string();
            match sequence::write(&target.store, catalog, config, source).await {
                Ok(written) => {
                    imported.topics += written.topics;
                    imported.rows += written.rows;
                    imported.sequences.push(name);
                }
                Err(error @ (Error::Full(_) | Error::Internal(_))) => return Err(error),
                Err(error) => {
                    let text = format!("sequence `{name}` is not imported: {error}");
                    imported.problems.push(Problem { path, text, repaired: false });
                }
            }
        }
    }
    progress(Progress { done: total, total });
    Ok(imported)
}

/// Refuses a source inside the target, and the other way round.
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
