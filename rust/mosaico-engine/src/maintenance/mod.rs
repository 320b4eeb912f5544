//! Maintenance of a whole store with a running engine: compaction, and rebuilds of the catalog.

pub mod compact;
pub mod online_rebuild;
pub mod rebuild;

use mosaico_storage::objects::Store;
use mosaico_wire::maintenance::Problem;

/// The symbolic links that this process met in the store, for reports.
pub fn link_problems(store: &Store) -> Vec<Problem> {
    let text = "a symbolic link, which is not followed: move its target into the store, or mount it there";
    let problem = |path| Problem { path, text: text.to_owned(), repaired: false };
    store.skipped_links().into_iter().map(problem).collect()
}
