//! The store: the source of truth about sequences, as immutable objects under ids. Start with [`Store`].

mod bucket;
mod cache;
mod deadline;
pub mod durable;
#[cfg(feature = "faults")]
pub mod faults;
pub mod fence;
mod folder;
mod load;
pub mod location;
mod measured;
mod options;
mod sequence_files;
mod store;
mod upload;
pub mod versions;

pub use bucket::{Bucket, Provider, Secret};
pub use load::Loaded;
pub use options::{StoreMetrics, StoreOptions};
pub use store::{Chunks, StagingFile, Store, blocking};
